"""Whether raw shards are synthetic: results on them are called so wherever they are shown."""

import os
from typing import Literal

from apache_beam.io.filesystems import FileSystems
from pydantic import BaseModel, ValidationError

from components.example_gen.input_files import InputFiles, find_files
from components.example_gen.listing import read_file


class OracleScores(BaseModel):
    """Micro F1 of a predictor that knows how synthetic videos are drawn, and the number of videos scored."""

    micro_f1: float
    videos: int


class SyntheticData(BaseModel):
    """The content of `oracle.json` beside synthetic shards."""

    synthetic: Literal[True]
    oracle: OracleScores | None = None


def read_synthetic(pattern: str) -> SyntheticData | None:
    """The `oracle.json` of the shards behind a pattern; None where they are not known to be synthetic.

    Args:
        pattern: of the shards, see `find_files`.

    Raises:
        InputError: nothing matches the pattern.
    """
    return describe_synthetic(find_files(pattern))


def describe_synthetic(files: InputFiles) -> SyntheticData | None:
    """Reads `oracle.json` in the folder of the shards; None where they are not known to be synthetic.

    Raises:
        InputError: the file exists and cannot be read.
    """
    content = read_file(FileSystems.join(os.path.dirname(files.files[0].path), "oracle.json"), "data")
    try:
        return SyntheticData.model_validate_json(content) if content is not None else None
    except ValidationError:  # another file of that name
        return None
