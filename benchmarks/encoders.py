"""Time and memory of one training step of each encoder, against a straightforward implementation of its formula.

    python benchmarks/encoders.py [--encoders dbof netvlad] [--rounds 15] [--batch 128]

Forward, backward and Adam's update on 300 frames of 1152 float32 features, on the CPU. Each implementation runs in its
own process, and they take turns; the ratio is the median over turns (above 1: ours is faster). The batch is halved
until a straightforward step takes less than 10 s. `from bytes` is ours on packed frames as training reads them,
dequantization included, which the other two leave out.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

FRAMES, WIDTH = 300, 1152
LONGEST_STEP = 10.0
ENCODERS = ("dbof", "netvlad", "netfv", "nextvlad", "transformer", "lstm", "gru")
IMPLEMENTATIONS = ("straightforward", "ours", "from bytes")


def main() -> None:
    """Prints a line for each encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", nargs="+", choices=ENCODERS, default=ENCODERS)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        encoder, implementation = arguments.worker
        work(encoder, implementation, arguments.batch)
        return
    print("| encoder | batch | straightforward s | ours s | ratio | from bytes | MB | ours MB | from bytes MB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for encoder in arguments.encoders:
        batch = arguments.batch
        while batch > 1 and _Worker(encoder, "straightforward", batch).first_step > LONGEST_STEP:
            batch //= 2
        print(f"| {encoder} | {batch} | {' | '.join(measure(encoder, batch, arguments.rounds))} |", flush=True)


def measure(encoder: str, batch: int, rounds: int) -> list[str]:
    """The cells of an encoder's line after name and batch."""
    workers = {name: _Worker(encoder, name, batch) for name in IMPLEMENTATIONS}
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    for turn in range(rounds):
        order = list(workers) if turn % 2 else list(workers)[::-1]
        for name in order:
            seconds[name].append(workers[name].step())
    plain = seconds["straightforward"]
    ratios = [
        statistics.median(theirs / ours for theirs, ours in zip(plain, seconds[name], strict=True))
        for name in ("ours", "from bytes")
    ]
    medians = [statistics.median(seconds[name]) for name in ("straightforward", "ours")]
    memory = [worker.close() for worker in workers.values()]
    return [*(f"{m:.3f}" for m in medians), *(f"{ratio:.2f}" for ratio in ratios), *(f"{mb:,}" for mb in memory)]


class _Worker:
    """A process with one implementation, which does a step on request."""

    def __init__(self, encoder: str, implementation: str, batch: int) -> None:
        command = [sys.executable, __file__, "--worker", encoder, implementation, "--batch", str(batch)]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.step()  # traces
        self.first_step = self.step()

    def step(self) -> float:
        """Seconds of a step."""
        return float(self._ask("step"))

    def close(self) -> int:
        """Peak resident memory of the process in MB."""
        return int(self._ask("memory"))

    def __del__(self) -> None:
        self._process.kill()
        self._process.wait()

    def _ask(self, question: str) -> str:
        assert self._process.stdin and self._process.stdout
        print(question, file=self._process.stdin, flush=True)
        return self._process.stdout.readline()


def work(encoder: str, implementation: str, batch: int) -> None:
    """Answers the parent's questions, one line each."""
    step = training_step(encoder, implementation, batch)
    for line in sys.stdin:
        if line.strip() == "memory":
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, flush=True)
            continue
        started = time.perf_counter()
        step()
        print(time.perf_counter() - started, flush=True)


def training_step(encoder: str, implementation: str, batch: int) -> Callable[[], Any]:
    """A compiled step on random videos of 150 to 300 frames."""
    import keras
    import numpy as np
    import tensorflow as tf

    from models.layers.quantization import dequantize
    from models.video_classifier import FrameDecoder

    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    num_frames = generator.integers(FRAMES // 2, FRAMES + 1, batch)
    codes = generator.integers(0, 256, (batch, FRAMES, WIDTH), np.uint8)
    mask = tf.constant(np.arange(FRAMES) < num_frames[:, None])
    layer = build(encoder, straightforward=implementation == "straightforward")
    if implementation == "from bytes":
        decoder, frames = FrameDecoder(), tf.constant(codes)
        read = lambda: decoder(frames, tf.constant(num_frames, tf.int32))  # noqa: E731
    else:
        features = tf.constant(dequantize(codes))
        read = lambda: (features, mask)  # noqa: E731

    layer(features[:2] if implementation != "from bytes" else dequantize(codes[:2]), mask[:2])
    towards = tf.constant(generator.normal(size=layer(*read()).shape), tf.float32)
    optimizer = keras.optimizers.Adam()
    optimizer.build(layer.trainable_variables)
    training = {"training": True} if encoder == "nextvlad" or implementation != "straightforward" else {}

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(layer(*read(), **training) - towards))
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
