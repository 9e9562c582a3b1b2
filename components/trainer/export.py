"""The SavedModel that is evaluated and served: four signatures, and its description in assets.extra/."""

import hashlib
import json
from pathlib import Path

import keras
import tensorflow as tf
import tensorflow_transform as tft

from components.served_models import EXTRA, KERAS_FILE, LABELS_FILE, ModelCard
from models.encoders.average import mean_of_frames
from models.features import AUDIO, FRAMES, LABELS, MEAN, NUM_FRAMES, RGB, WIDTH
from models.input.decoding import packed_frames
from models.input.raw_records import parse_raw_frames, parse_raw_means
from models.slices import FRAME_BOUNDS, LABEL_BOUNDS, NUM_LABELS, range_names

# Labels in an answer, as many as in GAP@20 and in the challenge's submissions.
TOP = 20


def export(model: keras.Model, transform_graph: str, names: tuple[str, ...], card: ModelCard, folder: str) -> None:
    """Writes the SavedModel.

    Signatures:
        serving_default: examples string[B], raw records as published -> labels string[B, 20], indices
            int32[B, 20], scores float32[B, 20], best first (all C of them where C < 20). The average encoder answers
            records of both levels.
        packed_examples: examples string[B] of ExampleGen -> probabilities float32[B, C].
        raw_tensors: frames uint8[B, F, 1152] and num_frames int32[B], at the video level mean float32[B, 1152]
            -> probabilities float32[B, C].
        transform_features: examples string[B] of ExampleGen -> labels float32[B, C], and for slicing num_labels and,
            at the frame level, num_frames as string[B] ranges such as "061-120".

    Args:
        model: maps frames or means to probabilities.
        transform_graph: folder of the Transform graph.
        names: label names in the order of their ids.
        card: of the model.
        folder: the SavedModel's.
    """
    transform = tft.TFTransformOutput(transform_graph)
    layer = transform.transform_features_layer()
    spec = transform.raw_feature_spec()
    reads_frames = FRAMES in model.input

    def probabilities(frames: tf.Tensor, num_frames: tf.Tensor) -> tf.Tensor:
        if reads_frames:
            return model({FRAMES: frames, NUM_FRAMES: num_frames}, training=False)
        return model({MEAN: mean_of_frames(frames, num_frames)}, training=False)

    def packed_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        features = layer(tf.io.parse_example(examples, spec))
        if reads_frames:
            frames = packed_frames(features[RGB], features[AUDIO])
            return {"probabilities": probabilities(frames, tf.cast(features[NUM_FRAMES], tf.int32))}
        return {"probabilities": model({MEAN: features[MEAN]}, training=False)}

    def serving_default(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = parse_raw_frames(examples) if reads_frames else parse_raw_means(examples)
        scores, indices = tf.math.top_k(model(inputs, training=False), k=min(TOP, len(names)))
        return {"labels": tf.gather(tf.constant(names), indices), "indices": indices, "scores": scores}

    def raw_frames(frames: tf.Tensor, num_frames: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": probabilities(frames, num_frames)}

    def raw_means(mean: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": model({MEAN: mean}, training=False)}

    def transform_features(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        features = layer(tf.io.parse_example(examples, spec))
        outputs = {
            LABELS: features[LABELS],
            NUM_LABELS: _range_names(tf.reduce_sum(features[LABELS], axis=-1), LABEL_BOUNDS),
        }
        if card.level == "frame":
            outputs[NUM_FRAMES] = _range_names(features[NUM_FRAMES], FRAME_BOUNDS)
        return outputs

    examples = [tf.TensorSpec([None], tf.string, name="examples")]
    frames = [
        tf.TensorSpec([None, None, WIDTH], tf.uint8, name=FRAMES),
        tf.TensorSpec([None], tf.int32, name=NUM_FRAMES),
    ]
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.track(layer)
    archive.add_endpoint("serving_default", serving_default, examples)
    archive.add_endpoint("packed_examples", packed_examples, examples)
    if card.level == "frame":
        archive.add_endpoint("raw_tensors", raw_frames, frames)
    else:
        archive.add_endpoint("raw_tensors", raw_means, [tf.TensorSpec([None, WIDTH], tf.float32, name=MEAN)])
    archive.add_endpoint("transform_features", transform_features, examples)
    archive.write_out(folder, verbose=False)
    _write_extra(model, names, card, folder)


def hash_weights(model: keras.Model) -> str:
    """SHA-256 of the weights: the `model_id` of a model card."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(keras.ops.convert_to_numpy(weight).tobytes())
    return digest.hexdigest()


def _write_extra(model: keras.Model, names: tuple[str, ...], card: ModelCard, folder: str) -> None:
    extra = Path(folder) / EXTRA
    extra.mkdir()
    model.save(extra / KERAS_FILE)
    card.write(folder)
    (extra / LABELS_FILE).write_text(json.dumps(names, indent=0))


def _range_names(values: tf.Tensor, bounds: tuple[int, ...]) -> tf.Tensor:
    """The name of the range that each number lies in, see `range_names`."""
    places = tf.searchsorted(tf.constant(bounds, tf.int64), tf.cast(values, tf.int64), side="left")
    return tf.gather(tf.constant(range_names(bounds)), places)
