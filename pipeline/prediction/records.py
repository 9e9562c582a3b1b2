"""The raw records that predictions are made for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from components.example_gen.ingest import RejectedRecord, read_shard
from components.example_gen.input_files import InputFiles
from components.example_gen.packing import PackedVideo
from models.features import Level


@dataclass(frozen=True)
class Record:
    """A packed record with its file and number."""

    video: PackedVideo
    file: str
    number: int

    def rejected(self, reason: str) -> RejectedRecord:
        """The record as one that cannot be used."""
        return RejectedRecord(self.file, self.number, reason)


class Records:
    """Reads records in the order of the file names and of the records in each file.

    Args:
        files: raw shards.
        level: of the records.
        report: called with each rejected record.
        progress: called with the bytes read so far, at least once for each record.

    Attributes:
        rejected: number of rejected records.
    """

    def __init__(
        self,
        files: InputFiles,
        level: Level,
        report: Callable[[RejectedRecord], None] = lambda rejected: None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        self._files, self._level, self._report, self._progress = files, level, report, progress
        self.rejected = 0

    def __iter__(self) -> Iterator[Record]:
        read = 0
        for file in self._files.files:
            done = read
            for number, video in enumerate(read_shard(file, self._level, None)):
                if isinstance(video, RejectedRecord):
                    self.reject(video)
                    continue
                yield Record(video, file.path, number)
                done = min(done + len(video.example), read + file.size)  # a compressed file holds more
                self._progress(done)
            read += file.size
            self._progress(read)

    def reject(self, record: RejectedRecord) -> None:
        """Counts and reports a record that cannot be used."""
        self.rejected += 1
        self._report(record)
