"""ExampleGen: raw YouTube-8M shards -> packed tf.Examples in the splits train, validation and test."""

import json
import logging
import shutil
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from tfx import v1 as tfx
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, component_spec
from tfx.utils import io_utils

from components.example_gen.data_files import DataFiles, find_data_files
from components.example_gen.ingest import IngestShards, Summary, plan_shards
from components.example_gen.input_files import detect_level
from components.example_gen.splits import SPLITS, SplitPolicy
from components.publishing import scratch_folder
from components.resolving_driver import ResolvingDriver
from models.errors import InputError, plural, quote
from models.features import Level

# Packed records are as large as raw ones; the video level is written a second time as Transform's features.
DISK_FACTOR = {"frame": 1.05, "video": 2.2}

# Folder beside the quarantines: the rejected records of the last run that had too many of them.
REJECTED_RUN = "refused"

_logger = logging.getLogger(__name__)


class Quarantine(tfx.dsl.Artifact):
    """Rejected records: `records-*.jsonl` (file, record, reason), and `summary.json` with all counts.

    Rejected ratings of records that are kept: `ratings-*.jsonl` (file, record, rating, reason).
    """

    TYPE_NAME = "Quarantine"


class ExampleGenSpec(component_spec.ComponentSpec):
    """Parameters and outputs of ExampleGen."""

    PARAMETERS = {
        "data": component_spec.ExecutionParameter(type=str),
        "validation_data": component_spec.ExecutionParameter(type=str),
        "test_data": component_spec.ExecutionParameter(type=str),
        "spans": component_spec.ExecutionParameter(type=int),
        "split": component_spec.ExecutionParameter(type=str),
        "seed": component_spec.ExecutionParameter(type=int),
        "level": component_spec.ExecutionParameter(type=str),
        "classes": component_spec.ExecutionParameter(type=int),
        "kept_features": component_spec.ExecutionParameter(type=str),
        "quarantine_limit": component_spec.ExecutionParameter(type=float),
        "sources": component_spec.ExecutionParameter(type=str),
    }
    INPUTS: dict[str, component_spec.ChannelParameter] = {}
    OUTPUTS = {
        "examples": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.Examples),
        "quarantine": component_spec.ChannelParameter(type=Quarantine),
    }


class ExampleGenDriver(ResolvingDriver):
    """Finds the newest spans and fingerprints the shards; refuses another level."""

    def resolve(self, input_dict: dict[str, list[tfx.dsl.Artifact]], exec_properties: dict[str, Any]) -> dict[str, Any]:
        """Pins the data to the shards that are there now."""
        keys = ("data", "validation_data", "test_data", "spans", "split", "seed", "level")
        resolved = resolve_data(**{key: exec_properties[key] for key in keys})
        return {
            **exec_properties,
            "data": resolved.data.pattern,
            "validation_data": resolved.own_pattern("validation"),
            "test_data": resolved.own_pattern("test"),
            "spans": 1,  # the patterns hold all spans
            "span": resolved.data.span,
            "fingerprint": resolved.fingerprint,
        }


class ExampleGenExecutor(base_beam_executor.BaseBeamExecutor):
    """Runs the ingest; fails where too many records are rejected."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the splits and the quarantine.

        Raises:
            InputError: too little disk space, more rejected records than `quarantine_limit`, an empty split, or a kept
                feature that no record has.
        """
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        quarantine = artifact_utils.get_single_instance(output_dict["quarantine"])
        files = find_data_files(*(exec_properties[key] for key in ("data", "validation_data", "test_data", "spans")))
        policy = SplitPolicy.parse(exec_properties["split"], files.own)
        shards = plan_shards(files, policy, exec_properties["seed"])
        level: Level = exec_properties["level"]
        kept_features = json.loads(exec_properties["kept_features"])
        size = sum(shard.file.size for shard in shards)
        _require_disk_space(examples.uri, size, level)
        with scratch_folder(examples.uri) as scratch, self._make_beam_pipeline() as pipeline:
            (
                pipeline
                | beam.Create(shards)
                | beam.Reshuffle()
                | IngestShards(
                    examples.uri,
                    quarantine.uri,
                    scratch,
                    policy,
                    level,
                    exec_properties["classes"],
                    kept_features,
                )
            )
        summary = read_summary(quarantine.uri)
        try:
            _require_usable(summary, exec_properties["quarantine_limit"], size, kept_features)
        except InputError as error:
            if not summary.quarantined:
                raise
            raise InputError(f"{error}; all rejected records are in {_keep_lists(quarantine.uri)}") from None
        examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
        examples.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
        examples.set_int_custom_property("span", exec_properties.get("span", files.data.span))
        for split in SPLITS:
            examples.set_int_custom_property(f"{split}_videos", summary.videos[split])


class ExampleGen(base_beam_component.BaseBeamComponent):
    """Ingests raw shards; each frame is written exactly once.

    Args:
        data: folder, glob or `{SPAN}` pattern of the shards (local, gs://, s3://).
        split: split policy, see SplitPolicy.
        level: what the records must hold.
        classes: size of the vocabulary.
        validation_data: pattern whose videos all go to the validation split, or "".
        test_data: the same for the test split.
        spans: how many of the newest spans are ingested together.
        seed: shuffles the files.
        kept_features: features of the records that are kept as they are, for slices.
        quarantine_limit: share of rejected records above which the run fails.
        sources: fingerprint of the code, so that an edit runs the step again.
    """

    SPEC_CLASS = ExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(ExampleGenExecutor)
    DRIVER_CLASS = ExampleGenDriver

    def __init__(
        self,
        data: str,
        split: str,
        level: Level,
        classes: int,
        *,
        validation_data: str = "",
        test_data: str = "",
        spans: int = 1,
        seed: int = 0,
        kept_features: Sequence[str] = (),
        quarantine_limit: float = 0.0,
        sources: str = "",
    ):
        spec = ExampleGenSpec(
            data=data,
            validation_data=validation_data,
            test_data=test_data,
            spans=spans,
            split=split,
            seed=seed,
            level=level,
            classes=classes,
            kept_features=json.dumps(list(kept_features)),
            quarantine_limit=quarantine_limit,
            sources=sources,
            examples=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Examples),
            quarantine=tfx.dsl.Channel(type=Quarantine),
        )
        super().__init__(spec=spec)


def resolve_data(
    data: str, validation_data: str, test_data: str, *, spans: int, split: str, seed: int, level: Level
) -> DataFiles:
    """Lists and checks the shards, before TFX looks for a cached result; the arguments are ExampleGen's.

    Raises:
        InputError: nothing matches, a file is in two splits, the records have another level than the experiment, or the
            split cannot be made.
    """
    files = find_data_files(data, validation_data, test_data, spans)
    plan_shards(files, SplitPolicy.parse(split, files.own), seed)
    for option, shards in files.by_option.items():
        if (actual := detect_level(shards)) != level:
            path = shards.files[0].path
            raise InputError(f"{option}: {path} holds {actual}-level records, the experiment reads {level}-level ones")
    if len(files.data.spans) < spans:
        _logger.info("data.spans is %d, but there are fewer spans: %s", spans, files.data.pattern)
    return files


def read_summary(quarantine_uri: str) -> Summary:
    """The counts that an ingest wrote beside its rejected records."""
    with FileSystems.open(f"{quarantine_uri}/summary.json") as file:
        return Summary(**json.load(file))


def _keep_lists(quarantine_uri: str) -> str:
    """Copies the lists of rejected records out of the quarantine, which TFX removes when the step fails."""
    kept = f"{quarantine_uri.rpartition('/')[0]}/{REJECTED_RUN}"
    if fileio.exists(kept):
        fileio.rmtree(kept)
    io_utils.copy_dir(quarantine_uri, kept)
    return kept


def _require_disk_space(uri: str, input_bytes: int, level: Level) -> None:
    if "://" in uri:
        return
    needed, free = int(input_bytes * DISK_FACTOR[level]), shutil.disk_usage(uri).free
    if free < needed:
        raise InputError(f"{uri}: {needed:,} bytes are needed for the packed records, {free:,} are free on that disk")


def _require_usable(summary: Summary, limit: float, size: int, kept_features: Sequence[str]) -> None:
    """Checks an ingest before anything reads its records.

    Args:
        summary: of the ingest.
        limit: largest share of the data that may be rejected, by number of records or by size.
        size: of the shards, in bytes.
        kept_features: features by which the user wants slices.

    Raises:
        InputError: too much is rejected, a split is empty, or the records cannot make the slices.
    """
    rejected = ""
    if summary.quarantined > limit * summary.records:
        rejected = f"{summary.quarantined:,} of {plural(summary.records, 'record')} rejected"
    elif summary.lost_bytes > limit * size:
        rejected = f"{summary.lost_bytes:,} of {size:,} bytes of the shards damaged"
    if rejected:
        first = summary.first_quarantined[0]
        raise InputError(f"{rejected}, more than quarantine_limit {limit:.2%}; first: {first}")
    summary.require_usable()
    empty = [split for split in SPLITS if not summary.videos.get(split)]
    if empty:
        records = plural(summary.records, "record")
        raise InputError(f"no videos in the split {empty[0]} (of {records}): use more data or shares")
    if missing := [name for name in kept_features if not summary.kept_kinds.get(name)]:
        raise InputError(f"evaluation.slices: no record has a value of the feature {quote(missing[0])}: leave it out")
