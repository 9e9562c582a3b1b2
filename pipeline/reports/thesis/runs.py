"""Runs read from their folders: settings, scores and training logs."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError, field_validator

from models.errors import InputError, plural, quote
from models.features import TrainingLevel
from models.training.log import TrainingLog
from pipeline.files.yaml_text import load_yaml
from pipeline.reports.scores import SCORES_FILE, RunScores
from pipeline.validation import explain

SETTINGS, TRAINING_LOG = "settings.yaml", "training_log.json"

# Runs may lie in groups, for example by data set.
DEPTH = 2


class RecordedData(BaseModel):
    """Which records, and how they were split."""

    pattern: str
    validation_data: str = ""
    test_data: str = ""
    split: str = ""


class RecordedSettings(BaseModel):
    """The part of settings.yaml that a comparison needs; keys that this version does not know are kept."""

    experiment: str
    level: TrainingLevel
    model: dict[str, Any]
    training: dict[str, Any]
    published: dict[str, Any] | None = None
    data: RecordedData
    seed: int

    @field_validator("model")
    @classmethod
    def _the_encoder_has_a_name(cls, model: dict[str, Any]) -> dict[str, Any]:
        encoder = model.get("encoder", {})
        if not isinstance(encoder, dict) or not isinstance(encoder.get("name", ""), str):
            raise ValueError(f"encoder is {quote(encoder)}, expected keys with values, name among them")
        return model


@dataclass(frozen=True)
class Run:
    """A finished run; `name` is its place for the reader."""

    name: str
    settings: RecordedSettings
    scores: RunScores
    log: TrainingLog

    @property
    def train_videos(self) -> int:
        """Videos of the training split: the most of all epochs, as one that ran out of time has fewer."""
        return max(epoch.videos for epoch in self.log.epochs)

    @property
    def encoder(self) -> str:
        """The name of the encoder, "" where the settings have none."""
        return str(self.settings.model.get("encoder", {}).get("name", ""))


@dataclass(frozen=True)
class Runs:
    """Finished runs; `left_out` has the names of the others, with the reason."""

    finished: list[Run] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def find_runs(paths: Iterable[Path]) -> Runs:
    """Reads run folders and folders of runs.

    Raises:
        InputError: a path holds no finished run, or a file of a run cannot be read.
    """
    runs = Runs()
    seen: set[Path] = set()
    for path in paths:
        folders = list(_run_folders(path, DEPTH))
        if not folders:
            raise InputError(
                f"RUNS: {str(path)!r} has no run in it, expected folders with {SETTINGS} and {SCORES_FILE}"
            )
        for folder in folders:
            if folder.resolve() in seen:
                continue
            seen.add(folder.resolve())
            missing = [name for name in (SETTINGS, SCORES_FILE, TRAINING_LOG) if not (folder / name).is_file()]
            if missing:
                runs.left_out[str(folder)] = f"no {', '.join(missing)}"
            else:
                runs.finished.append(read_run(folder))
    if not runs.finished:
        raise InputError(f"RUNS: no run has finished: {_listed(runs.left_out)}")
    return runs


def read_run(folder: Path) -> Run:
    """Reads the folder of a finished run.

    Raises:
        InputError: names the file and what is wrong with it.
    """
    log = folder / TRAINING_LOG
    try:
        training = TrainingLog.from_json(_text(log))
    except ValidationError as error:
        raise InputError(f"{log}: not a training log: {_first(error)}") from None
    if not 0 <= training.best_epoch < len(training.epochs):
        epochs = plural(len(training.epochs), "epoch")
        raise InputError(f"{log}: best_epoch is {training.best_epoch}, counted from 0, but the log has {epochs}")
    scores = _read(folder / SCORES_FILE, RunScores)
    for name, split in scores.splits:
        if split.videos < 1 or not 0 <= split.f1 <= 1:
            raise InputError(
                f"{folder / SCORES_FILE}: splits.{name} has f1 {split.f1} of {plural(split.videos, 'video')}, "
                "expected 0 to 1 of at least 1"
            )
    return Run(str(folder), _read(folder / SETTINGS, RecordedSettings), scores, training)


def _run_folders(path: Path, depth: int) -> Iterator[Path]:
    """The run folders at or below a path, in the order of their names; run folders are not searched."""
    if (path / SETTINGS).is_file() or (path / SCORES_FILE).is_file():
        yield path
    elif depth:
        try:
            children = sorted(Path(entry.path) for entry in os.scandir(path) if entry.is_dir())
        except OSError as error:
            raise InputError(f"RUNS: {str(path)!r}: {error.strerror}, expected a folder of runs") from None
        for child in children:
            yield from _run_folders(child, depth - 1)


Kind = TypeVar("Kind", bound=BaseModel)


def _read(path: Path, kind: type[Kind]) -> Kind:
    try:
        content = json.loads(_text(path)) if path.suffix == ".json" else load_yaml(str(path), _text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply") from None
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error, kind)}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8 text") from None


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    key = ".".join(map(str, first["loc"]))
    return f"{key}: {first['msg']}" if key else first["msg"]


def _listed(left_out: dict[str, str]) -> str:
    return "; ".join(f"{name} ({reason})" for name, reason in left_out.items())
