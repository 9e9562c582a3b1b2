"""A process that takes training steps on request; step.py starts one for each setting."""

import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from measuring import answer

from components.readable_log import import_tensorflow
from models.features import FRAMES, MAX_FRAMES, MEAN, NUM_FRAMES, WIDTH, YT8M_CLASSES
from models.settings import AverageSettings
from pipeline.experiments import Experiment, find_experiment

POLICIES = {"float32": "float32", "tf32": "float32", "bfloat16": "mixed_bfloat16"}

# A round takes at least so many seconds.
ROUND = 0.5


@dataclass(frozen=True)
class Setting:
    """What is measured."""

    experiment: str
    precision: str
    xla: bool
    batch: int

    @property
    def recipe(self) -> Experiment:
        """The experiment's entry in the catalogue."""
        return find_experiment(self.experiment)

    @property
    def reads_means(self) -> bool:
        """Whether the model reads means instead of frames."""
        return isinstance(self.recipe.model.encoder, AverageSettings)

    def to_json(self) -> str:
        """For `main`."""
        return json.dumps(asdict(self))

    @property
    def frames(self) -> int:
        """Frames of a video in a step."""
        training = self.recipe.training
        return MAX_FRAMES if training.frame_sampling == "all" else training.sampled_frames


def device() -> str:
    """The name of the GPU, or nothing."""
    import_tensorflow()
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else ""


def step_of(setting: Setting) -> Callable[[], float]:
    """A function that takes the next training step and returns its seconds, as the Trainer takes it: loss included."""
    import_tensorflow()
    import keras
    import tensorflow as tf

    from models.training.micro_f1 import MicroF1
    from models.training.optimizer import build_optimizer
    from models.video_classifier import build_video_classifier, training_view

    keras.config.set_dtype_policy(POLICIES[setting.precision])
    tf.config.experimental.enable_tensor_float_32_execution(setting.precision == "tf32")
    recipe = setting.recipe
    view, from_logits = training_view(build_video_classifier(recipe.model, YT8M_CLASSES, seed=0))
    view.compile(
        optimizer=build_optimizer(recipe.training, replicas=1, epoch_steps=1),
        loss=keras.losses.BinaryCrossentropy(from_logits=from_logits),
        metrics=[MicroF1(from_logits=from_logits)],
    )
    view.optimizer.build(view.trainable_variables)
    if setting.reads_means:
        inputs = {MEAN: tf.random.normal([setting.batch, WIDTH])}
    else:
        codes = tf.random.uniform([setting.batch, setting.frames, WIDTH], maxval=256, dtype=tf.int32)
        inputs = {FRAMES: tf.cast(codes, tf.uint8), NUM_FRAMES: tf.fill([setting.batch], setting.frames)}
    batch = inputs, tf.cast(tf.random.uniform([setting.batch, YT8M_CLASSES]) < 3 / YT8M_CLASSES, tf.float32)
    compiled = tf.function(view.train_step, jit_compile=setting.xla, autograph=False)

    def step() -> float:
        started = time.perf_counter()
        float(compiled(batch)["loss"])
        return time.perf_counter() - started

    return step


def main() -> None:
    """Answers `device`, or with a setting as argument `steps`: the seconds of a step in a round."""
    if len(sys.argv) == 1:
        return answer({"device": device})
    step = step_of(Setting(**json.loads(sys.argv[1])))

    def steps() -> float:
        return sum(step() for _ in range(number)) / number

    step()  # traces and compiles
    number = math.ceil(ROUND / step())
    answer({"steps": steps})


if __name__ == "__main__":
    main()
