"""The first page: how good the model is, how that was measured, and what the run did."""

import os
from typing import Any, Literal

import yaml
from apache_beam.io.filesystems import FileSystems
from pydantic import BaseModel, ValidationError

from components.evaluator.verdict import Verdict
from components.example_gen.input_files import find_files
from pipeline.local_runner import Step
from pipeline.settings import RunSettings


class OracleScores(BaseModel):
    """Micro F1 of a classifier that knows how synthetic videos are drawn, and on how many it was measured."""

    micro_f1: float
    videos: int


class SyntheticData(BaseModel):
    """What `oracle.json` beside synthetic shards says."""

    synthetic: Literal[True]
    oracle: OracleScores | None = None


def overview(settings: RunSettings, scores: dict[str, Any], steps: list[Step]) -> dict[str, Any]:
    """The variables of index.html, see `write_report`."""
    by_name = {step.name: step for step in steps}
    return {
        "scores": scores,
        "published": settings.published,
        "reasons": Verdict.read(by_name["Evaluator"].outputs["evaluation"]).reasons,
        "pushed": _pushed(by_name["Pusher"]),
        "steps": steps,
        "settings": yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
    }


def read_synthetic(pattern: str) -> SyntheticData | None:
    """Reads `oracle.json` in the folder of the data; None where the data are not known to be synthetic.

    Args:
        pattern: of the shards, see `find_files`.

    Raises:
        InputError: nothing matches the pattern.
    """
    folder = os.path.dirname(find_files(pattern).files[0].path)
    path = FileSystems.join(folder, "oracle.json")
    if not FileSystems.exists(path):
        return None
    with FileSystems.open(path) as file:
        try:
            return SyntheticData.model_validate_json(file.read())
        except ValidationError:  # a file of that name that means something else
            return None


def _pushed(pusher: Step) -> str:
    properties = pusher.properties["pushed_model"]
    version = properties.get("pushed_version")
    if properties["pushed"]:
        return f"pushed as version {version}"
    return f"nothing pushed: version {version} that serves is this model" if version else "nothing pushed"
