"""Where the names of a data set's labels come from."""

import os
import re

from apache_beam.io.filesystems import FileSystems

from components.example_gen.input_files import InputFiles, find_files
from components.example_gen.listing import read_file
from components.object_stores import require_access
from models.errors import InputError
from models.vocabulary import Vocabulary, read_vocabulary
from pipeline.settings import DataSettings


def find_vocabulary(data: DataSettings, files: InputFiles | None = None) -> Vocabulary:
    """The vocabulary of the settings, else `vocabulary.csv` beside the shards or in the folder of the data, else ids.

    Args:
        data: names the shards and perhaps the vocabulary.
        files: the shards, where they have been listed already.

    Raises:
        InputError: the vocabulary cannot be read.
    """
    if path := data.vocabulary:
        content = read_file(path, "vocabulary")
        if content is None:
            require_access(path, "vocabulary")
            raise InputError(f"vocabulary: cannot read {path!r}: there is no such file")
        return read_vocabulary(_decode(content, path), path)
    files = files or find_files(data.pattern)
    newest = files.files[0].path
    folders = [os.path.dirname(newest)]
    # Of several spans, as in `span-{4,3}`, the first is the newest.
    folder = re.sub(r"\{(\d+)(,\d+)+\}", r"\1", files.pattern).rstrip("/")
    if newest.startswith(f"{folder}/"):  # a folder, perhaps with shards in subfolders
        folders.append(folder)
    for folder in folders:
        path = FileSystems.join(folder, "vocabulary.csv")
        content = read_file(path, "vocabulary")
        if content is not None:
            return read_vocabulary(_decode(content, path), path)
    return Vocabulary.of_ids(data.classes)


def _decode(content: bytes, path: str) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"vocabulary {path}: is UTF-16 text, expected UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise InputError(
            f"vocabulary {path}, line {line}: byte 0x{byte:02x} is not UTF-8 text, save it as UTF-8"
        ) from None
