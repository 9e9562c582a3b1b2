"""Whether raw shards are synthetic: results on them are called so wherever they are shown."""

import json
import os
from typing import Literal

from apache_beam.io.filesystems import FileSystems
from pydantic import BaseModel, ValidationError

from components.example_gen.input_files import InputFiles, find_files
from components.example_gen.listing import read_file
from models.errors import InputError


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
    """Reads `oracle.json` in the folders of the shards; None where none of them is known to be synthetic.

    Raises:
        InputError: the file exists and cannot be read, or is damaged.
    """
    for folder in dict.fromkeys(os.path.dirname(file.path) for file in files.files):
        path = FileSystems.join(folder, "oracle.json")
        content = read_file(path, "data")
        if content is None:
            continue
        try:
            values = json.loads(content)
            if isinstance(values, dict) and values.get("synthetic") is True:  # else another file of that name
                return SyntheticData.model_validate(values)
        except (ValueError, RecursionError) as error:
            kind = "is damaged" if isinstance(error, ValidationError) else "is not JSON"
            raise InputError(f"data: {path!r}, which marks shards as synthetic, {kind}: mend or remove it") from None
    return None
