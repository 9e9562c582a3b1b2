"""Where the labels of a data set have their names from."""

import os

from apache_beam.io.filesystems import FileSystems

from components.example_gen.input_files import find_files
from models.errors import InputError
from models.vocabulary import Vocabulary, read_vocabulary
from pipeline.settings import DataSettings


def find_vocabulary(data: DataSettings) -> Vocabulary:
    """The vocabulary given, else `vocabulary.csv` beside the shards, else the ids.

    Raises:
        InputError: the vocabulary cannot be read.
    """
    path = data.vocabulary
    if not path:
        folder = os.path.dirname(find_files(data.pattern).files[0].path)
        path = FileSystems.join(folder, "vocabulary.csv")
        if not FileSystems.exists(path):
            return Vocabulary.of_ids(data.classes)
    try:
        with FileSystems.open(path) as file:
            text = file.read().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"vocabulary: cannot read {path!r}: {error}") from error
    return read_vocabulary(text, path)
