"""Whether raw shards were synthesized: their results are called synthetic wherever they are shown."""

import os
from typing import Literal

from apache_beam.io.filesystems import FileSystems
from pydantic import BaseModel, ValidationError

from components.example_gen.input_files import find_files


class OracleScores(BaseModel):
    """Micro F1 of a classifier that knows how synthetic videos are drawn, and on how many it was measured."""

    micro_f1: float
    videos: int


class SyntheticData(BaseModel):
    """What `oracle.json` beside synthetic shards says."""

    synthetic: Literal[True]
    oracle: OracleScores | None = None


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
