"""A pushed model that gives the probabilities of all labels."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from components.served_models import EXTRA, ModelCard, find_model, load_saved_model, read_label_names
from models.encoders.average import mean_of_frames
from models.errors import InputError, plural
from models.features import (
    AUDIO,
    AUDIO_WIDTH,
    FRAMES,
    MEAN,
    MEAN_AUDIO,
    MEAN_RGB,
    NUM_FRAMES,
    RGB,
    RGB_WIDTH,
    SEGMENT_FRAMES,
    WIDTH,
    Level,
)
from models.input.decoding import packed_frames

# Of the packed records, see `pack`.
_FEATURES = {
    "video": {
        MEAN_RGB: tf.io.FixedLenFeature([RGB_WIDTH], tf.float32),
        MEAN_AUDIO: tf.io.FixedLenFeature([AUDIO_WIDTH], tf.float32),
    },
    "frame": {
        RGB: tf.io.FixedLenFeature([], tf.string),
        AUDIO: tf.io.FixedLenFeature([], tf.string),
        NUM_FRAMES: tf.io.FixedLenFeature([], tf.int64),
    },
}


class PushedModel:
    """A SavedModel that predicts from packed records of one level what `serving_default` predicts from raw ones.

    It calls the signature `raw_tensors`, which returns the probabilities of all labels. A frame-level average encoder
    has that for frames only, so means go through `serving_default`, and all but the 20 best labels get 0.

    Args:
        path: a run folder, a push directory or a version in it.
        level: of the records.

    Attributes:
        folder: of the SavedModel.
        names: of the labels, in the order of their ids.
        card: its model card.
        all_probabilities: whether `probabilities` has more than the 20 best labels.

    Raises:
        InputError: there is no model, it cannot be loaded, or it cannot read records of this level.
    """

    def __init__(self, path: str, level: Level) -> None:
        self.folder = find_model(path)
        self.card, self.names = ModelCard.read(self.folder), read_label_names(self.folder)
        self._level: Level = level
        self._reads_frames = self.card.level == "frame"
        self.all_probabilities = level == "frame" or not self._reads_frames
        if not self.all_probabilities and self.card.model.encoder.name != "average":
            raise InputError(f"{self.folder} holds a model of frames, the data are video-level records (no frames)")
        # Kept: a signature alone does not keep the variables alive.
        self._saved_model = load_saved_model(self.folder)
        for signature in ("serving_default", "raw_tensors"):
            if signature not in self._saved_model.signatures:
                raise InputError(f"{self.folder}: not a SavedModel of `yt8m run`: it has no signature {signature}")
        classes = self._saved_model.signatures["raw_tensors"].structured_outputs["probabilities"].shape[-1]
        if classes != len(self.names):
            raise InputError(f"{self.folder} answers {plural(classes, 'label')}, its {EXTRA} names {len(self.names)}")
        self._mean = tf.function(
            mean_of_frames,
            [tf.TensorSpec([None, None, WIDTH], tf.uint8), tf.TensorSpec([None], tf.int32)],
            autograph=False,
        )

    def probabilities(self, examples: Sequence[bytes]) -> np.ndarray:
        """Probabilities for packed records: float32, [videos, C]."""
        signatures = self._saved_model.signatures
        if not self.all_probabilities:
            answer = signatures["serving_default"](examples=tf.constant(examples))
            probabilities = np.zeros((len(examples), len(self.names)), np.float32)
            np.put_along_axis(probabilities, answer["indices"].numpy(), answer["scores"].numpy(), axis=1)
            return probabilities
        features = tf.io.parse_example(examples, _FEATURES[self._level])
        if self._level == "video":
            mean = tf.concat([features[MEAN_RGB], features[MEAN_AUDIO]], axis=1)
            return signatures["raw_tensors"](**{MEAN: mean})["probabilities"].numpy()
        num_frames = tf.cast(features[NUM_FRAMES], tf.int32)
        return self._of_frames(packed_frames(features[RGB], features[AUDIO], tf.reduce_max(num_frames)), num_frames)

    def segment_probabilities(self, frames: np.ndarray) -> np.ndarray:
        """Probabilities for segments, each taken for a video of five frames: float32, [segments, C].

        Args:
            frames: uint8, [segments, 5, 1152].
        """
        return self._of_frames(tf.constant(frames), tf.fill([len(frames)], SEGMENT_FRAMES))

    def _of_frames(self, frames: tf.Tensor, num_frames: tf.Tensor) -> np.ndarray:
        inputs = {FRAMES: frames, NUM_FRAMES: num_frames}
        if not self._reads_frames:
            inputs = {MEAN: self._mean(frames, num_frames)}
        return self._saved_model.signatures["raw_tensors"](**inputs)["probabilities"].numpy()
