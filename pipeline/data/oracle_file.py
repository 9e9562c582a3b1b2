"""Whether raw shards are synthetic, by the file `oracle.json` beside them."""

import json
import os

from apache_beam.io.filesystems import FileSystems
from pydantic import ValidationError

from components.example_gen.input_files import InputFiles
from components.example_gen.listing import read_file
from components.example_gen.synthetic import SyntheticData
from models.errors import InputError


def read_oracle_file(files: InputFiles) -> SyntheticData | None:
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
            kind = "is damaged" if isinstance(error, ValidationError) else "is no JSON"
            raise InputError(f"data: {path!r}, which marks shards as synthetic, {kind}: mend or remove it") from None
    return None
