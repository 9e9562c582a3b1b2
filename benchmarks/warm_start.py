"""Whether a warm start saves epochs: training on a second span with and without the model of the first.

On synthetic videos; takes minutes on a CPU. Finished steps are cached; a killed run resumes.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

VIDEOS, LABELS, SPANS = 4000, 60, (1, 2)
EXPERIMENT = "average-2304-1152"
SMALLER = ["model.hidden_units=[512]", "training.learning_rate=1.0e-3", "training.batch_size=64"]
YT8M = Path(sys.executable).with_name("yt8m")


def main() -> None:
    """Writes the data, trains on span 1, then on span 2 cold and warm; prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/warm_start"))
    parser.add_argument("--out", type=Path, default=Path("runs/warm_start"))
    arguments = parser.parse_args()
    for span in SPANS:
        folder = arguments.data / f"span-{span}"
        if not (folder / "oracle.json").exists():
            sizes = ["--videos", str(VIDEOS), "--labels", str(LABELS), "--seed", str(span)]
            subprocess.run([YT8M, "synth", "--level", "video", *sizes, folder], check=True)
    first, cold, warm = (arguments.out / name for name in ("first", "cold", "warm"))
    _run(arguments.data / "span-1", first)
    _run(arguments.data / "span-2", cold)
    _run(arguments.data / "span-2", warm, f"training.warm_start={first}")

    best = max(epoch["val_f1"] for epoch in _log(cold)["epochs"])
    print(f"{EXPERIMENT} with {', '.join(SMALLER)}; {VIDEOS:,} synthetic videos a span, {LABELS} labels")
    print(f"| training | epochs to validation F1 {best:.4f} | epochs | best validation F1 | test F1 | after epoch 1 |")
    print("|---|---|---|---|---|---|")
    for name, out in (("cold on span 2", cold), ("from the model of span 1", warm)):
        f1s = [epoch["val_f1"] for epoch in _log(out)["epochs"]]
        reached = next((str(epoch) for epoch, f1 in enumerate(f1s, start=1) if f1 >= best), "never")
        test = json.loads((out / "scores.json").read_text())["splits"]["test"]["f1"]
        print(f"| {name} | {reached} | {len(f1s)} | {max(f1s):.4f} | {test:.4f} | {f1s[0]:.4f} |")


def _run(data: Path, out: Path, *settings: str) -> None:
    chosen = [argument for setting in (*SMALLER, *settings) for argument in ("--set", setting)]
    subprocess.run([YT8M, "run", "--data", data, "--experiment", EXPERIMENT, "--out", out, *chosen], check=True)


def _log(out: Path) -> dict:
    return json.loads((out / "training_log.json").read_text())


if __name__ == "__main__":
    main()
