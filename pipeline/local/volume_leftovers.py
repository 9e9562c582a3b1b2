"""Large artifacts on a cluster's volume that no run, schedule or serving model needs, for `yt8m gc`."""

import time
from collections.abc import Mapping
from pathlib import Path

from tfx.utils import path_utils

from components.served_models import CARD_FILE, EXTRA, ModelCard, find_champion
from models.errors import InputError
from models.whole_files import PARTIAL
from pipeline.create_pipeline import PIPELINE_NAME
from pipeline.kubeflow.container import journal
from pipeline.kubeflow.container.journal import Journal
from pipeline.local.leftovers import SECONDS_A_DAY, Leftover


class LargeArtifact(Leftover):
    """An artifact in the folder `<volume>/<pipeline>/<run>/<step>`, and why it can be removed, or what needs it."""

    def remove(self) -> None:
        """Deletes it, and the folders of its step and run if nothing else is there."""
        super().remove()
        for folder in (self.path.parent, self.path.parent.parent):
            if not any(folder.iterdir()):
                folder.rmdir()


def is_artifact_directory(folder: Path) -> bool:
    """Whether runs on a cluster keep their large artifacts there."""
    return (folder / journal.FOLDER).is_dir()


def known_runs(volume: Path) -> set[str]:
    """Ids of the runs that wrote there, or may read there."""
    return {run.name for run in _run_folders(volume)} | Journal(volume).runs().keys()


def survey(volume: Path, needed_runs: Mapping[str, str]) -> tuple[list[LargeArtifact], list[LargeArtifact]]:
    """Sorts the artifacts on a volume into those that can be removed and those that stay.

    Nothing younger than a day can be removed, nor what a run that began within a day may have found in KFP's cache.

    Args:
        volume: folder of large artifacts.
        needed_runs: why runs are needed, by their ids.

    Raises:
        InputError: an entry of the journal, or the card of a serving model, is damaged.
    """
    yesterday, runs = time.time() - SECONDS_A_DAY, Journal(volume).runs()
    began = {run: f"run {run} began less than a day ago" for run in runs if Journal(volume).began(run) > yesterday}
    why = {**began, **needed_runs}
    readers: dict[str, list[str]] = {}
    for run, entry in runs.items():
        for path in entry.artifacts:
            readers.setdefault(path, []).append(run)
    served = _served_models({entry.push_directory for entry in runs.values()})
    removable, kept = [], []
    for folder in (folder for run in _run_folders(volume) for folder in sorted(run.glob("*/*"))):
        users = {folder.parents[1].name, *readers.get(folder.relative_to(volume).as_posix(), ())}
        reasons = [why[user] for user in sorted(users) if user in why]
        if (model := _model_id(folder)) in served:
            reasons.append(f"serves as {served[model]}")
        if Leftover(folder, "").changed > yesterday:
            reasons.append("younger than a day")
        if reasons:
            kept.append(LargeArtifact(folder, "; ".join(reasons)))
        else:
            half = folder.name.startswith(PARTIAL)
            removable.append(LargeArtifact(folder, "half-written artifact" if half else "artifact that nothing needs"))
    return removable, kept


def _run_folders(volume: Path) -> list[Path]:
    return sorted(path for path in (volume / PIPELINE_NAME).glob("*") if path.is_dir())


def _model_id(folder: Path) -> str:
    model = path_utils.serving_model_dir(str(folder))
    if not Path(model, EXTRA, CARD_FILE).is_file():
        return ""
    try:
        return ModelCard.read(model).model_id
    except InputError:
        return ""


def _served_models(push_directories: set[str]) -> dict[str, str]:
    """The versions that serve, by their models' ids."""
    champions = filter(None, map(find_champion, sorted(push_directories)))
    return {champion.card.model_id: champion.folder for champion in champions}
