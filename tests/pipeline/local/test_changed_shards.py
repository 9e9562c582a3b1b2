"""Which changes of shards run the ingest again: TFX's launcher, with ExampleGen alone."""

import os

import pytest
from tfx import v1 as tfx

from components.example_gen.component import ExampleGen
from components.example_gen.input_files import find_files
from models.errors import InputError
from pipeline.beam.options import beam_args
from pipeline.beam_settings import BeamSettings
from pipeline.local.runner import LocalRunner


@pytest.fixture
def shards(tmp_path, write_shard, video_record):
    folder = tmp_path / "data"
    write_shard(folder / "a.tfrecord", [video_record(f"{number:04d}", [0]) for number in range(40)])
    return folder


def rewrite(path, old, new):
    """Replaces the last occurrence of bytes by as many others; keeps the file's size and time."""
    state, content = path.stat(), path.read_bytes()
    at = content.rindex(old)
    path.write_bytes(content[:at] + new + content[at + len(old) :])
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert path.stat().st_size == state.st_size and path.stat().st_mtime_ns == state.st_mtime_ns


def test_a_shard_rewritten_with_its_size_and_time_is_ingested_again(shards, tmp_path):
    def state():
        node = ExampleGen(data=str(shards), split="id:60/20/20", level="video", classes=7, quarantine_limit=1.0)
        pipeline = tfx.dsl.Pipeline(
            "changes",
            str(tmp_path / "root"),
            components=[node],
            enable_cache=True,
            metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
                str(tmp_path / "metadata.sqlite")
            ),
            beam_pipeline_args=beam_args(BeamSettings()),
        )
        return LocalRunner(tmp_path / "steps.json", lambda step: None).run(pipeline)[0].state

    assert [state(), state()] == ["done", "cached"]
    rewrite(shards / "a.tfrecord", b"0020", b"9020")
    assert [state(), state()] == ["done", "cached"]


def test_blocks_of_a_large_shard_are_compared(tmp_path):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(bytes(2**20) + b"first" + bytes(4 * 2**20) + b"final")
    fingerprints = [find_files(str(path)).fingerprint]
    rewrite(path, b"final", b"other")
    fingerprints.append(find_files(str(path)).fingerprint)
    assert len(set(fingerprints)) == 2 and fingerprints[1] == find_files(str(path)).fingerprint


def test_a_shard_that_disappears_after_listing_is_named(shards):
    listed = find_files(str(shards))
    (shards / "a.tfrecord").unlink()
    with pytest.raises(InputError, match=r"cannot read '.*/data/a.tfrecord': No such file or directory"):
        _ = listed.fingerprint
