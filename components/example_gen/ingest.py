"""Shards read, checked and packed, and the Beam transform that writes each of them once."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.example_gen.input_files import InputFile, InputFiles
from components.example_gen.packing import BadRecord, PackedVideo, pack
from components.example_gen.splits import SPLITS, Split, SplitPolicy
from components.example_gen.tfrecord import Damage, read_records, write_record
from components.publishing import Attempt, write_whole
from models.features import Level

# What a summary lists by name; the quarantine files hold all of them.
EXAMPLES_SHOWN = 10


@dataclass(frozen=True)
class Refused:
    """A record that cannot be used; `lost` counts the records that went with it where a file cannot be read on."""

    file: str
    record: int
    reason: str
    lost: int = 1

    @property
    def line(self) -> bytes:
        """A line of JSON."""
        return json.dumps({"file": self.file, "record": self.record, "reason": self.reason}).encode() + b"\n"

    def __str__(self) -> str:
        return f"{self.file}, record {self.record}: {self.reason}"


@dataclass
class Summary:
    """What became of the records: of one shard, or merged over all."""

    videos: dict[str, int] = field(default_factory=dict)
    frames: int = 0
    labels: int = 0
    quarantined: int = 0
    first_quarantined: list[str] = field(default_factory=list)
    cut_to_max_frames: int = 0
    repeated_labels: int = 0
    duplicates: dict[str, int] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """All records that were seen or are known to be lost."""
        return sum(self.videos.values()) + self.quarantined

    def add(self, video: PackedVideo, split: str) -> None:
        """Counts one written video."""
        self.videos[split] = self.videos.get(split, 0) + 1
        self.frames += video.frames
        self.labels += video.labels
        self.cut_to_max_frames += video.cut_frames
        self.repeated_labels += video.repeated_labels

    def refuse(self, refused: Refused) -> None:
        """Counts what could not be used."""
        self.quarantined += refused.lost
        if len(self.first_quarantined) < EXAMPLES_SHOWN:
            self.first_quarantined.append(str(refused))

    def merge(self, other: "Summary") -> "Summary":
        """The sum of two summaries."""
        for split, videos in other.videos.items():
            self.videos[split] = self.videos.get(split, 0) + videos
        self.frames += other.frames
        self.labels += other.labels
        self.quarantined += other.quarantined
        self.first_quarantined = sorted(self.first_quarantined + other.first_quarantined)[:EXAMPLES_SHOWN]
        self.cut_to_max_frames += other.cut_to_max_frames
        self.repeated_labels += other.repeated_labels
        return self


@dataclass(frozen=True)
class Shard:
    """One input file, its place among them, and its split (None: by the id of each video)."""

    file: InputFile
    number: int
    of: int
    split: Split | None


def plan_shards(data: InputFiles, test_data: InputFiles | None, policy: SplitPolicy, seed: int) -> list[Shard]:
    """The files that the split policy uses, each with its split.

    Each span is split by itself: its files have the splits that they have without the other spans, so no model that was
    trained on one span is tested on the same videos with the next.

    Raises:
        InputError: the policy cannot split these files.
    """
    of_files: dict[str, Split | None] = {}
    for files in data.spans:
        of_files |= policy.of_files([file.path for file in files], seed)
    chosen = [(file, of_files[file.path]) for file in data.files if file.path in of_files]
    chosen += [(file, SPLITS[2]) for file in (test_data.files if test_data else ())]
    return [Shard(file, number, len(chosen), split) for number, (file, split) in enumerate(chosen)]


def read_shard(
    file: InputFile, level: Level, classes: int | None, kept_features: Sequence[str] = ()
) -> Iterator[PackedVideo | Refused]:
    """Each record of a file: packed, or why it cannot be used; see `pack`."""
    with _open(file.path) as source:
        seen_bytes = 0
        for number, record in enumerate(read_records(source, file.size)):
            if isinstance(record, Damage):
                # How many records a cut-off tail held is unknown: count them by the mean size of those before.
                lost = record.lost_bytes * number / max(seen_bytes, 1)
                yield Refused(file.path, number, record.reason, max(1, round(lost)))
                continue
            seen_bytes += len(record)
            try:
                video = pack(record, level, classes, kept_features)
            except BadRecord as error:
                yield Refused(file.path, number, str(error))
            else:
                yield video


def repeated(id_and_splits: tuple[Any, Iterable[str]]) -> Iterator[str]:
    """Where an id occurs more than once, in words; nothing for an id that occurs once."""
    splits = sorted(id_and_splits[1])
    if len(splits) > 1:
        yield " and ".join(sorted(set(splits))) if len(set(splits)) > 1 else f"within {splits[0]}"


class IngestShards(beam.PTransform):
    """Shards -> `Split-<name>/` files under `examples`, `summary.json` and bad records under `quarantine`.

    All are written under `scratch` first.

    A full record never leaves the function that read it: memory does not grow with the data, and only ids cross a
    shuffle, to find the ones that occur twice.
    """

    def __init__(
        self,
        examples: str,
        quarantine: str,
        scratch: str,
        policy: SplitPolicy,
        level: Level,
        classes: int,
        kept_features: Sequence[str],
    ):
        super().__init__()
        self.quarantine = quarantine
        self.ingest = _IngestShard(examples, quarantine, scratch, policy, level, classes, kept_features)

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        """Returns the path of `summary.json` once all is written."""
        outputs = shards | beam.ParDo(self.ingest).with_outputs("summary", main="ids")
        summary = outputs.summary | beam.CombineGlobally(_merge)
        duplicates = (
            outputs.ids | beam.GroupByKey() | "Repeated" >> beam.FlatMap(repeated) | beam.combiners.Count.PerElement()
        )
        return (
            shards.pipeline
            | beam.Create([f"{self.quarantine}/summary.json"])
            | beam.Map(
                _write_summary,
                summary=beam.pvalue.AsSingleton(summary),
                duplicates=beam.pvalue.AsDict(duplicates),
            )
        )


class _IngestShard(beam.DoFn):
    def __init__(
        self,
        examples: str,
        quarantine: str,
        scratch: str,
        policy: SplitPolicy,
        level: Level,
        classes: int,
        kept_features: Sequence[str],
    ):
        self.examples, self.quarantine, self.scratch = examples, quarantine, scratch
        self.policy, self.level, self.classes, self.kept_features = policy, level, classes, kept_features

    def process(self, shard: Shard) -> Iterator[Any]:
        summary = Summary()
        with Attempt(self.scratch) as attempt:
            for video in read_shard(shard.file, self.level, self.classes, self.kept_features):
                if isinstance(video, Refused):
                    summary.refuse(video)
                    attempt.open(f"{self.quarantine}/records-{shard.number:05d}.jsonl").write(video.line)
                    continue
                split = shard.split or self.policy.of_id(video.id)
                name = f"Split-{split}/data_tfrecord-{shard.number:05d}-of-{shard.of:05d}"
                write_record(attempt.open(f"{self.examples}/{name}"), video.example)
                summary.add(video, split)
                yield video.id, split
        yield beam.pvalue.TaggedOutput("summary", summary)


def _open(path: str) -> BinaryIO:
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def _merge(summaries: Iterable[Summary]) -> Summary:
    merged = Summary()
    for summary in summaries:
        merged.merge(summary)
    return merged


def _write_summary(path: str, summary: Summary, duplicates: dict[str, int]) -> str:
    summary.duplicates = duplicates
    write_whole(path, json.dumps(asdict(summary), indent=1, sort_keys=True).encode())
    return path
