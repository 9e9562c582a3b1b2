"""Whether a search chooses the value that is known to be best, on synthetic videos in a temporary folder.

Each label of a video appears in one of its 40 frames; the other frames show some of 24 things without a label. NetVLAD
normalizes the sum of a cluster, so with more clusters fewer frames hide that of the label. A single head of the
Transformer, 16 wide, must separate the frames of all labels from the rest; six heads share that work. `yt8m run --tune`
tries a grid of clusters or heads, smaller values first, and must train with the largest.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
import yaml

from models.features import RGB_WIDTH, WIDTH
from models.layers.quantization import quantize

VIDEOS, SHARDS, FRAMES, LABELS, THINGS, SEEN = 1500, 10, 40, 12, 24, 6
YT8M = str(Path(sys.executable).with_name("yt8m"))

# By experiment: encoder, epochs of a trial, the setting that is searched and its values.
SEARCHES = {
    "clusters": ({"name": "netvlad", "clusters": 4}, 1, "model.encoder.clusters", [4, 8, 32]),
    "heads": (
        {"name": "transformer", "heads": 1, "dense_units": 32, "key_dim": 16}, 2, "model.encoder.heads", [1, 2, 6]
    ),
}  # fmt: skip


def main() -> None:
    """Prints the trials of each search; fails if the largest value did not win, or the Trainer did not use it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_videos(folder / "data")
        (folder / "searches.yaml").write_text(yaml.safe_dump(experiments()))
        missed = [experiment for experiment in SEARCHES if not searched(folder, experiment)]
    if missed:
        raise SystemExit(f"the largest value was not chosen for: {', '.join(missed)}")


def experiments() -> dict[str, dict]:
    """The entries of an experiment file."""
    return {
        experiment: {
            "base": "netvlad-8",
            "model": {"encoder": encoder, "two_stream": False, "hidden_units": [64], "dropout": 0.0},
            "training": {"batch_size": 32, "max_epochs": epochs},
            "tune": {
                "space": {key: {"type": "choice", "values": values}},
                "oracle": "grid",
                "objective": "val_loss",
                "max_epochs": epochs,
                "stop_hopeless": False,
            },
        }
        for experiment, (encoder, epochs, key, values) in SEARCHES.items()
    }


def searched(folder: Path, experiment: str) -> bool:
    """Runs the pipeline with a search; returns whether the largest value won and was used for training."""
    command = [YT8M, "run", "--data", str(folder / "data"), "--experiment-file", str(folder / "searches.yaml")]
    command += ["--experiment", experiment, "--tune", "--out", str(folder / experiment)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    _, _, key, values = SEARCHES[experiment]
    trials = json.loads((folder / experiment / "trials.json").read_text())["trials"]
    print(f"| {key} | validation loss | validation F1 | GAP@20 | seconds |")
    print("|---|---|---|---|---|")
    for trial in trials:
        scores = " | ".join(f"{trial['scores'][name]:.4f}" for name in ("val_loss", "val_f1", "val_gap"))
        print(f"| {trial['values'][key]} | {scores} | {trial['seconds']:.0f} |")
    best = min(trials, key=lambda trial: trial["scores"]["val_loss"])["values"][key]
    settings = json.loads(next((folder / experiment).glob("serving/*/assets.extra/model_card.json")).read_text())
    trained = settings["model"]["encoder"][key.rpartition(".")[2]]
    print(f"best: {best}; the Trainer used {trained}", flush=True)
    return best == trained == max(values)


def write_videos(folder: Path) -> None:
    """Frame-level shards and their vocabulary."""
    rng = np.random.default_rng(1)
    looks = rng.normal(size=(THINGS + LABELS, WIDTH))
    folder.mkdir()
    (folder / "vocabulary.csv").write_text("Index,Name\n" + "".join(f"{n},label {n}\n" for n in range(LABELS)))
    for shard in range(SHARDS):
        with tf.io.TFRecordWriter(str(folder / f"train{shard:04d}.tfrecord")) as writer:
            for video in range(shard, VIDEOS, SHARDS):
                labels = np.sort(rng.choice(LABELS, rng.integers(1, 4), replace=False))
                shown = rng.choice(rng.choice(THINGS, SEEN, replace=False), FRAMES)
                shown[rng.choice(FRAMES, labels.size, replace=False)] = THINGS + labels
                frames = quantize(0.8 * looks[shown] + 0.5 * rng.normal(size=(FRAMES, WIDTH)))
                writer.write(record(f"{video:04d}", labels, np.asarray(frames, np.uint8)))


def record(video_id: str, labels: np.ndarray, frames: np.ndarray) -> bytes:
    """A SequenceExample in the format of YouTube-8M."""

    def bytes_of(content: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))

    context = {"id": bytes_of(video_id.encode()), "labels": tf.train.Feature(int64_list={"value": labels.tolist()})}
    lists = {
        name: tf.train.FeatureList(feature=[bytes_of(frame.tobytes()) for frame in part])
        for name, part in (("rgb", frames[:, :RGB_WIDTH]), ("audio", frames[:, RGB_WIDTH:]))
    }
    return tf.train.SequenceExample(
        context=tf.train.Features(feature=context), feature_lists=tf.train.FeatureLists(feature_list=lists)
    ).SerializeToString()


if __name__ == "__main__":
    main()
