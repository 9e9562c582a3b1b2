"""Whether every encoder learns: small models on synthetic frames, against the oracle that knows their distribution.

Takes long on a CPU. Finished steps are cached; a killed run resumes. Data of other sizes need folders of their own:
`--videos 1500 --labels 30 --experiments netvlad-moe-small tuned-netvlad-small --data FOLDER --out FOLDER`.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from measuring import count

SEED = 1
FILE = Path(__file__).with_name("small_experiments.yaml")
YT8M = Path(sys.executable).with_name("yt8m")


def main(options: Sequence[str] | None = None) -> None:
    """Writes the data, runs the experiments and prints a line for each."""
    every = list(yaml.safe_load(FILE.read_text()))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=count, default=10_000)
    parser.add_argument("--labels", type=count, default=60)
    parser.add_argument("--experiments", nargs="+", choices=every, default=every, metavar="NAME", help="by default all")
    parser.add_argument("--data", type=Path, default=Path("data/learnability"))
    parser.add_argument("--out", type=Path, default=Path("runs/learnability"))
    arguments = parser.parse_args(options)
    names = arguments.experiments
    sizes = ["--videos", str(arguments.videos), "--labels", str(arguments.labels), "--seed", str(SEED)]
    subprocess.run([YT8M, "synth", "--level", "frame", *sizes, arguments.data], check=True)
    command = [YT8M, "run", "--data", arguments.data, "--experiment-file", FILE, "--experiment", ",".join(names)]
    # The run of a single experiment has no folder of its own below --out.
    subprocess.run([*command, "--out", arguments.out if len(names) > 1 else arguments.out / names[0]], check=True)

    oracle = json.loads((arguments.data / "oracle.json").read_text())
    print(f"{oracle['videos']:,} synthetic videos, {oracle['labels']} labels; F1 of the oracle {_f1(oracle):.4f}")
    print("| experiment | test F1 | of the oracle's | epochs | seconds an epoch | parameters |")
    print("|---|---|---|---|---|---|")
    for name in names:
        scores = json.loads((arguments.out / name / "scores.json").read_text())
        log = json.loads((arguments.out / name / "training_log.json").read_text())
        f1 = scores["splits"]["test"]["f1"]
        seconds = statistics.median(epoch["seconds"] for epoch in log["epochs"])
        shown = (f"{f1:.4f}", f"{f1 / _f1(oracle):.3f}", len(log["epochs"]), f"{seconds:.0f}", f"{log['parameters']:,}")
        print(f"| {name} | {' | '.join(map(str, shown))} |")


def _f1(oracle: dict) -> float:
    return oracle["oracle"]["micro_f1"]


if __name__ == "__main__":
    main()
