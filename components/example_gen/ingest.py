"""Reads, checks and packs shards; the Beam transform that writes each of them once."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.example_gen.data_files import DataFiles
from components.example_gen.indexed_records import IndexedRecords
from components.example_gen.input_files import InputFile
from components.example_gen.packing import InvalidRecord, PackedVideo, pack
from components.example_gen.splits import Split, SplitPolicy
from components.example_gen.tfrecord import Damage, read_records
from components.publishing import Attempt, write_whole
from models.errors import InputError, quote
from models.features import Level

# Largest number of slices by a feature: each has scores, intervals and a row on a page.
MOST_SLICES = 1000

# Fewer videos may each list a label twice by accident.
FEWEST_TO_JUDGE = 10

# Rejected records that a summary lists; the quarantine files list all of them.
EXAMPLES_SHOWN = 10


@dataclass(frozen=True)
class RejectedRecord:
    """A record that cannot be used, or a damaged part of a file without a whole record.

    Attributes:
        lost_bytes: of a damaged part, which may have held several records.
    """

    file: str
    record: int
    reason: str
    lost_bytes: int = 0

    @property
    def line(self) -> bytes:
        """A line of JSON."""
        return json.dumps({"file": self.file, "record": self.record, "reason": self.reason}).encode() + b"\n"

    def __str__(self) -> str:
        return f"{self.file}, record {self.record}: {self.reason}"


@dataclass
class Summary:
    """Counts of the records of one shard or of all.

    For each kept feature, `kept_kinds` names a file for each kind of values that occurs, and `kept_values` holds
    hashes of its values, at most one more than MOST_SLICES.
    """

    videos: dict[str, int] = field(default_factory=dict)
    frames: int = 0
    labels: int = 0
    quarantined: int = 0
    lost_bytes: int = 0
    first_quarantined: list[str] = field(default_factory=list)
    cut_to_max_frames: int = 0
    repeated_labels: int = 0
    label_vectors: int = 0
    kept_kinds: dict[str, dict[str, str]] = field(default_factory=dict)
    kept_values: dict[str, list[int]] = field(default_factory=dict)
    duplicates: dict[str, int] = field(default_factory=dict)
    ratings: int = 0
    rejected_ratings: int = 0
    first_rejected_ratings: list[str] = field(default_factory=list)

    @property
    def records(self) -> int:
        """All records; a damaged part of a file, which may have held several, counts as one."""
        return sum(self.videos.values()) + self.quarantined

    def add(self, video: PackedVideo, split: str, file: str, number: int) -> None:
        """Counts one written video, the record of this number in its file."""
        self.videos[split] = self.videos.get(split, 0) + 1
        self.frames += video.frames
        self.labels += len(video.labels)
        self.cut_to_max_frames += video.cut_frames
        self.repeated_labels += video.repeated_labels
        self.label_vectors += video.label_vector
        for name, (kind, values) in video.kept.items():
            self._keep(name, {kind: file} if kind else {}, values)
        self.ratings += len(video.ratings)
        self.rejected_ratings += len(video.rejected_ratings)
        for rating in video.rejected_ratings[: EXAMPLES_SHOWN - len(self.first_rejected_ratings)]:
            self.first_rejected_ratings.append(rating.text(file, number))

    def add_rejected(self, record: RejectedRecord) -> None:
        """Counts one rejected record."""
        self.quarantined += 1
        self.lost_bytes += record.lost_bytes
        if len(self.first_quarantined) < EXAMPLES_SHOWN:
            self.first_quarantined.append(str(record))

    def merge(self, other: "Summary") -> "Summary":
        """The sum of two summaries."""
        for split, videos in other.videos.items():
            self.videos[split] = self.videos.get(split, 0) + videos
        self.frames += other.frames
        self.labels += other.labels
        self.quarantined += other.quarantined
        self.lost_bytes += other.lost_bytes
        self.first_quarantined = sorted(self.first_quarantined + other.first_quarantined)[:EXAMPLES_SHOWN]
        self.cut_to_max_frames += other.cut_to_max_frames
        self.repeated_labels += other.repeated_labels
        self.label_vectors += other.label_vectors
        for name, kinds in other.kept_kinds.items():
            self._keep(name, kinds, other.kept_values[name])
        self.ratings += other.ratings
        self.rejected_ratings += other.rejected_ratings
        self.first_rejected_ratings = sorted(self.first_rejected_ratings + other.first_rejected_ratings)[
            :EXAMPLES_SHOWN
        ]
        return self

    def require_usable(self) -> None:
        """Checks what only all records together show.

        Raises:
            InputError: labels are vectors instead of ids, or kept features cannot make slices.
        """
        videos = sum(self.videos.values())
        if videos and self.label_vectors == videos:
            raise InputError(f"labels of all {videos:,} videos are a 0 or 1 for each label, expected ids of labels")
        if videos >= FEWEST_TO_JUDGE and self.repeated_labels == videos:
            raise InputError(f"each of {videos:,} videos lists a label twice, expected ids, not a vector")
        for name, kinds in self.kept_kinds.items():
            if len(kinds) > 1:
                places = " and ".join(f"{kind} in {file}" for kind, file in sorted(kinds.items()))
                raise InputError(f"evaluation.slices: {quote(name)} holds {places}, expected one kind")
            if len(self.kept_values[name]) > MOST_SLICES:
                raise InputError(
                    f"evaluation.slices: {quote(name)} has more than {MOST_SLICES:,} values, each would be a slice"
                )

    def _keep(self, name: str, kinds: dict[str, str], values: Iterable[int]) -> None:
        self.kept_kinds[name] = kinds | self.kept_kinds.get(name, {})
        known = self.kept_values.setdefault(name, [])
        self.kept_values[name] = sorted({*known, *values})[: MOST_SLICES + 1] if set(values) - set(known) else known


@dataclass(frozen=True)
class Shard:
    """One input file, its place among them, and its split (None: by the id of each video)."""

    file: InputFile
    number: int
    of: int
    split: Split | None


def plan_shards(files: DataFiles, policy: SplitPolicy, seed: int) -> list[Shard]:
    """The files that the split policy uses and those of splits with data of their own, each with its split.

    Each span is split by itself, independently of the other spans: a model that is trained on several spans is never
    tested on videos on which an earlier model was trained.

    Raises:
        InputError: the policy cannot split these files.
    """
    of_files: dict[str, Split | None] = {}
    for span in files.data.spans:
        of_files |= policy.of_files([file.path for file in span], seed)
    chosen = [(file, of_files[file.path]) for file in files.data.files if file.path in of_files]
    for split, own in files.own.items():
        chosen += [(file, split) for file in own.files]
    return [Shard(file, number, len(chosen), split) for number, (file, split) in enumerate(chosen)]


def read_shard(
    file: InputFile, level: Level, classes: int | None, kept_features: Sequence[str] = ()
) -> Iterator[PackedVideo | RejectedRecord]:
    """Each record of a file, packed by `pack` or rejected."""
    with _open(file.path) as source:
        for number, record in enumerate(read_records(source)):
            if isinstance(record, Damage):
                yield RejectedRecord(file.path, number, record.reason, record.lost_bytes)
                continue
            try:
                video = pack(record, level, classes, kept_features)
            except InvalidRecord as error:
                yield RejectedRecord(file.path, number, str(error))
            else:
                yield video


def repeated(id_and_splits: tuple[Any, Iterable[str]]) -> Iterator[str]:
    """The splits in which an id occurs more than once, in words; nothing for an id that occurs once."""
    splits = sorted(id_and_splits[1])
    if len(splits) > 1:
        yield " and ".join(sorted(set(splits))) if len(set(splits)) > 1 else f"within {splits[0]}"


class IngestShards(beam.PTransform):
    """Shards -> files and indexes of the splits (`examples`); `summary.json` and what is rejected (`quarantine`).

    Unfinished files lie under `scratch`. A record never leaves the function that reads it: memory does not grow with
    the data, and only ids are shuffled, to find the ones that occur twice.
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
        """The path of `summary.json`, written last."""
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
        outputs: dict[str, IndexedRecords] = {}
        with Attempt(self.scratch) as attempt:
            videos = read_shard(shard.file, self.level, self.classes, self.kept_features)
            for number, video in enumerate(videos):
                if isinstance(video, RejectedRecord):
                    summary.add_rejected(video)
                    attempt.open(f"{self.quarantine}/records-{shard.number:05d}.jsonl").write(video.line)
                    continue
                split = shard.split or self.policy.of_id(video.id)
                if split not in outputs:
                    name = f"Split-{split}/data_tfrecord-{shard.number:05d}-of-{shard.of:05d}"
                    outputs[split] = IndexedRecords(attempt, f"{self.examples}/{name}")
                outputs[split].write(video.example, video.starts, video.frames, video.labels, video.ratings)
                summary.add(video, split, shard.file.path, number)
                for rating in video.rejected_ratings:
                    ratings = attempt.open(f"{self.quarantine}/ratings-{shard.number:05d}.jsonl")
                    ratings.write(rating.line(shard.file.path, number))
                yield video.id, split
            for output in outputs.values():
                output.finish()
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
