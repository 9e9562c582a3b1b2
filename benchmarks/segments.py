"""What it is worth to fine-tune a video model on rated segments, and to multiply their scores by the video's.

    python benchmarks/segments.py [--videos 1000] [--labels 12] [--seeds 0,1,2]

On synthetic rated videos: 8 of 10 shards are training data, the others test data. A small NetVLAD is trained on whole
videos, on rated segments from random weights, and on rated segments from the video model's weights. Takes minutes a
seed on a CPU. Finished steps are cached.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import mean
from typing import Any

from measuring import count, table

YT8M = Path(sys.executable).with_name("yt8m")
EXPERIMENTS = """
video:
  level: frame
  model: {encoder: {name: netvlad, clusters: 8}, hidden_units: [64]}
  training: {batch_size: 32, max_epochs: 10, learning_rate: 2.0e-3}
segment:
  base: video
  level: segment
  training: {max_epochs: 4, learning_rate: 5.0e-4}
"""


def main() -> None:
    """Prints the MAP@100,000 of the test segments for each model and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=count, default=1000)
    parser.add_argument("--labels", type=count, default=12)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-segments"))
    arguments = parser.parse_args()
    out, data = arguments.out, arguments.out / f"data-{arguments.videos}-{arguments.labels}"
    out.mkdir(parents=True, exist_ok=True)
    (out / "experiments.yaml").write_text(EXPERIMENTS)
    sizes = ["--videos", arguments.videos, "--labels", arguments.labels]
    _yt8m("synth", "--level", "frame", "--segments", *sizes, data)
    rows: dict[str, list[float]] = {}
    for seed in arguments.seeds.split(","):
        folder = out / f"seed-{seed}"
        video, scratch, tuned = (folder / name for name in ("video", "segments", "fine-tuned"))
        _train(out, data, seed, "video", video)
        _train(out, data, seed, "segment", scratch)
        _train(out, data, seed, "segment", tuned, f"training.warm_start={video}")
        for name, score in {
            "video model, applied to segments": _score(data, folder, video),
            "trained on segments alone": _score(data, folder, scratch),
            "video model, fine-tuned on segments": _score(data, folder, tuned),
            "fine-tuned, times the video's score": _score(data, folder, tuned, "--video-model", video),
        }.items():
            rows.setdefault(name, []).append(score)
    oracle = json.loads((data / "oracle.json").read_text())["ratings"]["oracle"]["map_at_k"]
    cells = [[name, f"{mean(scores):.4f}", *(f"{score:.4f}" for score in scores)] for name, scores in rows.items()]
    cells.append(["oracle, all videos", f"{oracle:.4f}", *[""] * len(arguments.seeds.split(","))])
    print(table(["model", "MAP", *(f"seed {seed}" for seed in arguments.seeds.split(","))], cells))


def _train(out: Path, data: Path, seed: str, experiment: str, folder: Path, *settings: str) -> None:
    chosen = [word for setting in ("evaluation.floor=false", *settings) for word in ("--set", setting)]
    files = ["--data", data / "train*", "--test-data", data / "validate*", "--vocabulary", data / "vocabulary.csv"]
    catalogue = ["--experiment", experiment, "--experiment-file", out / "experiments.yaml"]
    _yt8m("run", *files, *catalogue, "--seed", seed, "--out", folder, *chosen)


def _score(data: Path, folder: Path, model: Path, *options: Any) -> float:
    arguments = ["--data", data / "validate*", "--segments", "--evaluate", "--json", "--out", folder / "answers.csv"]
    return json.loads(_yt8m("predict", model, *arguments, *options))["scores"]["map_at_k"]


def _yt8m(*arguments: Any) -> str:
    return subprocess.run([YT8M, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
