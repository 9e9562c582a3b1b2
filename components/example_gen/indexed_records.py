"""Files of packed records that are written together with their index."""

from collections.abc import Iterable, Mapping, Sequence

from components.example_gen.tfrecord import HEADER, record_size, write_record
from components.publishing import Attempt
from models.input.index import IndexBuilder, Rating, index_path


class IndexedRecords:
    """A file of records that is published with its index.

    Args:
        attempt: that publishes them.
        path: of the file.
    """

    def __init__(self, attempt: Attempt, path: str) -> None:
        self._attempt, self._path, self._file = attempt, path, attempt.open(path)
        self._index, self._size = IndexBuilder(), 0

    def write(
        self,
        example: bytes,
        starts: Mapping[str, int],
        frames: int,
        labels: Sequence[int],
        ratings: Iterable[Rating] = (),
    ) -> None:
        """Appends a video.

        Args:
            example: the serialized tf.Example.
            starts: of `serialize`.
            frames: how many it has, 0 where it has only their mean.
            labels: ids, each once.
            ratings: of its segments.
        """
        write_record(self._file, example)
        self._index.add({name: self._size + HEADER + start for name, start in starts.items()}, frames, labels, ratings)
        self._size += record_size(example)

    def finish(self) -> None:
        """Writes the index; the last call."""
        # Opened only now: S3 fails to close an empty file, as it would be after an error.
        self._attempt.open(index_path(self._path)).write(self._index.to_bytes(self._size))
