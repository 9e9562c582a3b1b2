"""The overhead of a search over its trials' training and validation, with trials of about 30 s: `make bench-search`."""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from models.features import MEAN, WIDTH
from models.settings import ModelSettings
from models.training_settings import TrainingSettings
from models.video_classifier import build_video_classifier
from tuner.search import Search, Task
from tuner.settings import TuneSettings
from tuner.trials import read_search

CLASSES, BATCH = 3862, 256

# The share of a search's time that may pass outside the epochs of its trials.
ALLOWED = 0.1


def main() -> None:
    """Searches on random data with the published sizes and prints the overhead; fails if it is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--batches", type=int, default=100, help="batches of an epoch; a trial has two epochs")
    options = parser.parse_args()
    task = Task(
        model=ModelSettings.model_validate({"encoder": {"name": "average"}, "hidden_units": [2304]}),
        training=TrainingSettings(batch_size=BATCH),
        build=lambda model: build_video_classifier(model, CLASSES, 0),
        data=lambda model, training: (lambda epoch: _batches(options.batches), _batches(options.batches // 10)),
        seed=0,
    )
    rates = {"type": "float", "min": 1e-4, "max": 1e-3, "log": True}
    settings = TuneSettings.model_validate(
        {
            "space": {"training.learning_rate": rates},
            "max_trials": options.trials,
            "max_epochs": 2,
            "stop_hopeless": False,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        search = Search(task, settings, Path(folder, "search"))
        started = time.monotonic()
        search.search()
        seconds = time.monotonic() - started
        trained = [trial.seconds for trial in read_search(Path(folder, "search"), settings).trials]
    overhead = 1 - sum(trained) / seconds
    each = sum(trained) / len(trained)
    print(f"search {seconds:.1f} s, epochs of {len(trained)} trials {sum(trained):.1f} s ({each:.1f} s each)")
    print(f"overhead {100 * overhead:.1f} % (allowed {100 * ALLOWED:.0f} %)")
    if overhead > ALLOWED:
        raise SystemExit(1)


def _batches(count: int) -> tf.data.Dataset:
    random = np.random.default_rng(0)
    means = random.normal(size=(BATCH, WIDTH)).astype(np.float32)
    labels = (random.random((BATCH, CLASSES)) < 3 / CLASSES).astype(np.float32)
    return tf.data.Dataset.from_tensors(({MEAN: means}, labels)).repeat(count)


if __name__ == "__main__":
    main()
