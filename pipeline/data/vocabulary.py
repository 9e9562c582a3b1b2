"""Where the names of a data set's labels come from."""

import os
import re

from apache_beam.io.filesystems import FileSystems

from components.example_gen.input_files import InputFiles
from components.example_gen.listing import is_there, read_file
from components.object_stores import require_access
from models.errors import InputError
from models.vocabulary import Vocabulary, read_vocabulary
from pipeline.settings import DataSettings


def find_vocabulary(data: DataSettings, files: InputFiles) -> str:
    """The vocabulary of the settings, else `vocabulary.csv` beside the shards or in the folder of the data, else "".

    Args:
        data: names the shards and perhaps the vocabulary.
        files: the shards.

    Raises:
        InputError: the disk or the object store does not answer.
    """
    if data.vocabulary:
        return data.vocabulary
    newest = files.files[0].path
    folders = [os.path.dirname(newest)]
    # Of several spans, as in `span-{4,3}`, the first is the newest.
    folder = re.sub(r"\{(\d+)(,\d+)+\}", r"\1", files.pattern).rstrip("/")
    if newest.startswith(f"{folder}/"):  # a folder, perhaps with shards in subfolders
        folders.append(folder)
    paths = [FileSystems.join(folder, "vocabulary.csv") for folder in folders]
    return next((path for path in paths if is_there(path, "vocabulary")), "")


def load_vocabulary(data: DataSettings) -> Vocabulary:
    """The vocabulary that the settings name, see `find_vocabulary`; where they name none, the ids are the names.

    Raises:
        InputError: the vocabulary cannot be read.
    """
    path = data.vocabulary
    if not path:
        return Vocabulary.of_ids(data.classes)
    content = read_file(path, "vocabulary")
    if content is None:
        require_access(path, "vocabulary")
        raise InputError(f"vocabulary: cannot read {path!r}: there is no such file")
    return read_vocabulary(_decode(content, path), path)


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
