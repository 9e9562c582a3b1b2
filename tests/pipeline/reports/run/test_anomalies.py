"""TFDV's findings as lines of text."""

from pathlib import Path

import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import statistics_pb2

import components.schema
from models.features import ID, LABELS, NUM_FRAMES
from pipeline.reports.run.anomalies import describe_anomalies


@pytest.fixture
def schema():
    return tfdv.load_schema_text(str(Path(components.schema.__file__).with_name("frame.pbtxt")))


@pytest.fixture
def describe(tmp_path, schema):
    """Lines for the statistics of each split, read from files as ExampleValidator writes them."""

    def lines(**statistics):
        for split in ("train", "validation", "test"):
            anomalies = tfdv.validate_statistics(statistics[split], schema)
            (tmp_path / f"Split-{split}").mkdir()
            (tmp_path / f"Split-{split}" / "SchemaDiff.pb").write_bytes(anomalies.SerializeToString())
        return describe_anomalies(str(tmp_path))

    return lines


@pytest.fixture
def statistics_of(schema):
    """TFDV's statistics of two videos with these numbers of frames."""

    def build(*num_frames):
        columns = {
            ID: pa.array([[b"a"], [b"b"]]),
            LABELS: pa.array([[1], [2]], pa.list_(pa.int64())),
            NUM_FRAMES: pa.array(num_frames, pa.list_(pa.int64())),
        }
        batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
        return stats_impl.generate_statistics_in_memory(batch, tfdv.StatsOptions(schema=schema))

    return build


def test_data_that_fit_the_schema_have_no_anomalies(describe, statistics_of):
    good = statistics_of([1], [300])
    assert describe(train=good, validation=good, test=good) == []


def test_a_line_names_split_feature_and_problem(describe, statistics_of):
    good = statistics_of([1], [300])
    assert describe(train=good, validation=good, test=statistics_of([10], [400])) == [
        "test: num_frames: Out-of-range values: Unexpectedly large value: 400."
    ]


def test_every_reason_has_a_line_and_splits_come_in_their_usual_order(describe, statistics_of):
    both = statistics_of([3, 4], None)
    lines = describe(train=both, validation=statistics_of([1], [300]), test=both)
    assert [": ".join(line.split(": ")[:3]) for line in lines] == [
        "train: num_frames: Superfluous values",
        "train: num_frames: Column dropped",
        "test: num_frames: Superfluous values",
        "test: num_frames: Column dropped",
    ]


def test_a_split_that_is_too_small_or_empty_is_an_anomaly(describe, schema):
    for feature in schema.feature:
        feature.presence.Clear()
    schema.dataset_constraints.min_examples_count = 5
    statistics = {split: statistics_pb2.DatasetFeatureStatisticsList() for split in ("train", "validation", "test")}
    for content, videos in zip(statistics.values(), (5, 3, 0), strict=True):
        content.datasets.add(num_examples=videos)
    assert describe(**statistics) == [
        "validation: Low num examples in dataset: The dataset has 3 examples, which is fewer than expected.",
        "test: No data: the statistics hold no videos",
    ]
