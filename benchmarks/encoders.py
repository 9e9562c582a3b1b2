"""Time and memory of one training step of each encoder, against a straightforward implementation of its formula.

    python benchmarks/encoders.py [--encoders dbof netvlad] [--rounds 15] [--batch 128]

Forward, backward and Adam's update on 300 frames of 1152 float32 features, on the CPU. Each implementation runs in its
own process, and they take turns; the ratio is the median over turns (above 1: ours is faster). The batch is halved
until a straightforward step takes less than 10 s. step.py measures the steps of whole models.
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from measuring import Worker, answer, count, in_turns, line, table

from components.readable_log import import_tensorflow

FRAMES, WIDTH = 300, 1152
LONGEST_STEP = 10.0
ENCODERS = ("dbof", "netvlad", "netfv", "nextvlad", "transformer", "lstm", "gru")
IMPLEMENTATIONS = ("straightforward", "ours")
COLUMNS = ("encoder", "batch", "straightforward s", "ours s", "ratio", "straightforward MB", "ours MB")


def main() -> None:
    """Prints a line for each encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", nargs="+", choices=ENCODERS, default=ENCODERS)
    parser.add_argument("--rounds", type=count, default=15)
    parser.add_argument("--batch", type=count, default=128)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work(*json.loads(arguments.worker))
    print(table(COLUMNS, []), flush=True)
    for encoder in arguments.encoders:
        batch = arguments.batch
        while batch > 1 and first_step(encoder, batch) > LONGEST_STEP:
            batch //= 2
        print(line([encoder, batch, *measure(encoder, batch, arguments.rounds)]), flush=True)


def worker(encoder: str, implementation: str, batch: int) -> Worker:
    """A process with one implementation that has traced its step."""
    started = Worker(
        [__file__, "--worker", json.dumps([encoder, implementation, batch])], {"CUDA_VISIBLE_DEVICES": "-1"}
    )
    started.ask("step")
    return started


def first_step(encoder: str, batch: int) -> float:
    """Seconds of a straightforward step."""
    with worker(encoder, "straightforward", batch) as plain:
        return plain.ask("step")


def measure(encoder: str, batch: int, rounds: int) -> list[str]:
    """The cells of an encoder's line after name and batch."""
    with ExitStack() as stack:
        workers = {name: stack.enter_context(worker(encoder, name, batch)) for name in IMPLEMENTATIONS}
        seconds = in_turns(workers, "step", rounds)
        memory = [one.ask("memory") for one in workers.values()]
    ratio = statistics.median(plain / ours for plain, ours in zip(*seconds.values(), strict=True))
    medians = (statistics.median(times) for times in seconds.values())
    return [*(f"{median:.3f}" for median in medians), f"{ratio:.2f}", *(f"{mb:,}" for mb in memory)]


def work(encoder: str, implementation: str, batch: int) -> None:
    """Answers the parent's questions: seconds of a `step`, and the peak resident `memory` in MB."""
    step = training_step(encoder, implementation, batch)

    def seconds() -> float:
        started = time.perf_counter()
        step()
        return time.perf_counter() - started

    answer({"step": seconds, "memory": lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024})


def training_step(encoder: str, implementation: str, batch: int) -> Callable[[], Any]:
    """A compiled step on random videos of 150 to 300 frames."""
    import_tensorflow()
    import keras
    import numpy as np
    import tensorflow as tf

    from models.layers.quantization import dequantize

    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    num_frames = generator.integers(FRAMES // 2, FRAMES + 1, batch)
    codes = generator.integers(0, 256, (batch, FRAMES, WIDTH), np.uint8)
    mask = tf.constant(np.arange(FRAMES) < num_frames[:, None])
    features = tf.constant(dequantize(codes))
    layer = build(encoder, straightforward=implementation == "straightforward")
    towards = tf.constant(generator.normal(size=layer(features, mask).shape), tf.float32)
    optimizer = keras.optimizers.Adam()
    optimizer.build(layer.trainable_variables)
    training = {"training": True} if encoder == "nextvlad" or implementation != "straightforward" else {}

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(layer(features, mask, **training) - towards))
        gradients = tape.gradient(loss, [variable.value for variable in layer.trainable_variables])
        optimizer.apply(gradients, layer.trainable_variables)
        return loss

    return lambda: step().numpy()


def build(encoder: str, straightforward: bool) -> Any:
    """The layer at a size of the thesis, on joined streams."""
    if straightforward:
        import straightforward as plain

        layers: dict[str, Callable[[], Any]] = {
            "dbof": lambda: plain.DBoF(2048, WIDTH),
            "netvlad": lambda: plain.NetVLAD(100, WIDTH),
            "netfv": lambda: plain.NetFV(60, WIDTH),
            "nextvlad": lambda: plain.NeXtVLAD(128),
            "transformer": lambda: plain.Transformer(3, 10),
            "lstm": lambda: plain.Recurrent("lstm", 2, 1024),
            "gru": lambda: plain.Recurrent("gru", 2, 400),
        }
        return layers[encoder]()
    from models.encoders.streams import build_encoder
    from models.features import JOINED_STREAM
    from models.settings import ModelSettings

    settings = {
        "dbof": {"clusters": 2048},
        "netvlad": {"clusters": 100},
        "netfv": {"clusters": 60},
        "nextvlad": {"clusters": 128},
        "transformer": {"heads": 3, "dense_units": 10},
        "lstm": {"layers": 2, "units": 1024},
        "gru": {"layers": 2, "units": 400},
    }
    model = ModelSettings.model_validate({"encoder": {"name": encoder, **settings[encoder]}})
    return build_encoder(model.encoder, JOINED_STREAM, seed=0)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
