"""Whether every encoder learns: small models on synthetic frames, against the oracle that knows their distribution.

Takes long on a CPU. Finished steps are cached; a killed run resumes.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import yaml

VIDEOS, LABELS, SEED = 10_000, 60, 1
FILE = Path(__file__).with_name("small_experiments.yaml")
YT8M = Path(sys.executable).with_name("yt8m")


def main() -> None:
    """Writes the data, runs the experiments and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/learnability"))
    parser.add_argument("--out", type=Path, default=Path("runs/learnability"))
    arguments = parser.parse_args()
    if not (arguments.data / "oracle.json").exists():
        sizes = ["--videos", str(VIDEOS), "--labels", str(LABELS), "--seed", str(SEED)]
        subprocess.run([YT8M, "synth", "--level", "frame", *sizes, arguments.data], check=True)
    names = list(yaml.safe_load(FILE.read_text()))
    command = [YT8M, "run", "--data", arguments.data, "--experiment-file", FILE, "--experiment", ",".join(names)]
    subprocess.run([*command, "--out", arguments.out], check=True)

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
