"""Whether raw shards were synthesized: their results are called synthetic wherever they are shown."""

import os
from typing import Literal

from apache_beam.io.filesystems import FileSystems
from pydantic import BaseModel, ValidationError

from components.example_gen.input_files import InputFiles, find_files
from components.example_gen.listing import read_file


class OracleScores(BaseModel):
    """Micro F1 of a classifier that knows how synthetic videos are drawn, and on how many it was measured."""

    micro_f1: float
    videos: int


class SyntheticData(BaseModel):
    """What `oracle.json` beside synthetic shards says."""

    synthetic: Literal[True]
    oracle: OracleScores | None = None


def read_synthetic(pattern: str) -> SyntheticData | None:
    """What says that the shards behind a pattern are synthetic; None where nothing does.

    Args:
        pattern: of the shards, see `find_files`.

    Raises:
        InputError: nothing matches the pattern.
    """
    return describe_synthetic(find_files(pattern))


def describe_synthetic(files: InputFiles) -> SyntheticData | None:
    """Reads `oracle.json` in the folder of the shards; None where they are not known to be synthetic.

    Raises:
        InputError: it is there and cannot be read.
    """
    content = read_file(FileSystems.join(os.path.dirname(files.files[0].path), "oracle.json"), "data")
    try:
        return SyntheticData.model_validate_json(content) if content is not None else None
    except ValidationError:  # a file of that name that means something else
        return None
