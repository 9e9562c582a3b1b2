"""Transform: TFX's, storing only the small outputs of its graph."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import tensorflow as tf
import tensorflow_transform as tft
from apache_beam.io.filesystems import FileSystems
from tensorflow.core.example import feature_pb2
from tfx import v1 as tfx
from tfx.components.transform import executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils

from components.example_gen.indexed_records import IndexedRecords
from components.example_gen.serialization import serialize
from components.publishing import Attempt, scratch_folder
from models.features import ID, LABEL_IDS, MEAN, NUM_FRAMES

MATERIALIZED = (ID, LABEL_IDS, NUM_FRAMES, MEAN)

# Padded frames of 128 videos take 44 MB as bytes.
BATCH_SIZE = 128


class TransformExecutor(executor.Executor):
    """Lets TFX write the graph, then stores `id`, `label_ids`, `num_frames` and `mean`: 5 KB a video.

    TFX would store every output of the graph, the frames a second time.
    """

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `transform_graph`, then a file of `transformed_examples` and its index for each file of `examples`."""
        super().Do(
            input_dict,
            {key: value for key, value in output_dict.items() if key != "transformed_examples"},
            exec_properties,
        )
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        transformed = artifact_utils.get_single_instance(output_dict["transformed_examples"])
        graph = artifact_utils.get_single_uri(output_dict["transform_graph"])
        transformed.split_names = examples.split_names
        files = [
            (file.path, f"{transformed.uri}/Split-{split}/{file.path.rpartition('/')[2]}")
            for split in artifact_utils.decode_split_names(examples.split_names)
            for file in FileSystems.match([f"{examples.uri}/Split-{split}/*"])[0].metadata_list
        ]
        with scratch_folder(transformed.uri) as scratch, self._make_beam_pipeline() as pipeline:
            pipeline | beam.Create(files) | beam.Reshuffle() | beam.ParDo(_Materialize(graph, scratch))


class Transform(tfx.components.Transform):
    """TFX's Transform with the executor above."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(TransformExecutor)


class _Materialize(beam.DoFn):
    def __init__(self, transform_graph: str, scratch: str):
        self.transform_graph, self.scratch = transform_graph, scratch

    def setup(self) -> None:
        output = tft.TFTransformOutput(self.transform_graph)
        layer = output.transform_features_layer()
        spec = output.raw_feature_spec()

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def small_features(examples: tf.Tensor) -> dict[str, tf.Tensor]:
            features = layer(tf.io.parse_example(examples, spec))
            return {name: features[name] for name in MATERIALIZED if name in features}

        self.small_features = small_features

    def process(self, source_and_target: tuple[str, str]) -> Iterator[None]:
        source, target = source_and_target
        with Attempt(self.scratch) as attempt:
            output = IndexedRecords(attempt, target)
            for batch in tf.data.TFRecordDataset(source).batch(BATCH_SIZE):
                for feature in _features(self.small_features(batch)):
                    labels = feature[LABEL_IDS].int64_list.value
                    output.write(*serialize(feature, [MEAN]), frames=0, labels=labels)
            output.finish()
        return iter(())


def _features(features: dict[str, tf.Tensor]) -> Iterator[dict[str, feature_pb2.Feature]]:
    # Python floats: protobuf copies a list of them seven times faster than an array (35 against 245 us).
    ids, means = features[ID].numpy(), features[MEAN].numpy().tolist()
    labels = tf.RaggedTensor.from_sparse(features[LABEL_IDS])
    bounds, values = labels.row_splits.numpy(), labels.values.numpy()
    frames = features[NUM_FRAMES].numpy() if NUM_FRAMES in features else None
    for row, video_id in enumerate(ids):
        feature = {
            ID: feature_pb2.Feature(bytes_list=feature_pb2.BytesList(value=[video_id])),
            LABEL_IDS: feature_pb2.Feature(
                int64_list=feature_pb2.Int64List(value=values[bounds[row] : bounds[row + 1]])
            ),
            MEAN: feature_pb2.Feature(float_list=feature_pb2.FloatList(value=means[row])),
        }
        if frames is not None:
            feature[NUM_FRAMES] = feature_pb2.Feature(int64_list=feature_pb2.Int64List(value=[frames[row]]))
        yield feature
