"""Several trained models as one: the weighted average of their probabilities."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import KerasTensor, ops

from models.encoders.average import mean_of_frames
from models.features import FRAMES, MEAN, NUM_FRAMES, Level
from models.video_classifier import video_inputs


@keras.saving.register_keras_serializable("yt8m")
class Ensemble(keras.layers.Layer):
    """p = sum_m w_m p_m with w = softmax(v); only v is trained, the members are frozen.

    The thesis names ensembles as future work (section 8). The cross-entropy is convex in w, which starts as 1/M for M
    members.

    Args:
        members: models of the same classes; those that read means get the mean of the frames.

    Call arguments:
        inputs: `frames` and `num_frames`, or `mean`, as for `build_video_classifier`.

    Returns:
        probabilities, float32 [batch, classes].
    """

    def __init__(self, members: Sequence[keras.Model], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.members = list(members)

    def build(self, inputs_shape: dict[str, tuple[int, ...]]) -> None:
        """Creates v and freezes the members."""
        for member in self.members:
            member.trainable = False
        self.logits = self.add_weight(shape=(len(self.members),), initializer="zeros", name="logits")

    def call(self, inputs: dict[str, KerasTensor]) -> KerasTensor:
        """Averages the probabilities of the members."""
        if MEAN not in inputs and any(MEAN in member.input for member in self.members):
            inputs = {**inputs, MEAN: mean_of_frames(inputs[FRAMES], inputs[NUM_FRAMES])}
        outputs = [member({name: inputs[name] for name in member.input}, training=False) for member in self.members]
        weights = ops.softmax(self.logits)
        return sum(weights[i] * probabilities for i, probabilities in enumerate(outputs))

    def compute_output_shape(self, inputs_shape: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
        """The shape of a member's output."""
        return self.members[0].output_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with the configuration of each member."""
        members = [keras.saving.serialize_keras_object(member) for member in self.members]
        return {**super().get_config(), "members": members}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Ensemble":
        """Rebuilds the members, then the layer."""
        members = [keras.saving.deserialize_keras_object(member) for member in config.pop("members")]
        return cls(members, **config)


def build_ensemble(members: Sequence[keras.Model], level: Level) -> keras.Model:
    """Joins trained models of the same classes into one.

    Args:
        members: from `build_video_classifier`.
        level: whether the ensemble reads frames or means; at the video level no member may read frames.

    Returns:
        A functional model with the inputs and the output of `build_video_classifier`.

    Example:
        >>> from models.settings import ModelSettings
        >>> from models.video_classifier import build_video_classifier
        >>> settings = ModelSettings.model_validate({"encoder": {"name": "average"}})
        >>> members = [build_video_classifier(settings, 10, seed) for seed in (0, 1)]
        >>> build_ensemble(members, "video")({"mean": ops.ones((2, 1152))}).shape
        TensorShape([2, 10])
    """
    inputs = video_inputs(frames=level == "frame")
    return keras.Model(inputs, Ensemble(members, dtype="float32", name="ensemble")(inputs), name="video_ensemble")
