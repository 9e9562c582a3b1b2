"""How long a training step takes, the share of the device's peak that it reaches, and how fast input must be for it.

    python benchmarks/step.py [--experiments netvlad-100] [--precisions float32 tf32 bfloat16] [--xla no yes]
        [--batch 128] [--rounds 5] [--peak-tflops 66.9 494.7 989.4] [--data FOLDER | --input FILE] [--json FILE]

On the GPU if there is one; else on the CPU, by default in float32 without XLA on batches of 8. A step is the Trainer's,
from packed frames on the device: forward, backward, Adam, metrics. Each setting runs in its own process, one after
another; milliseconds are medians over rounds, with their range in brackets. TFLOP/s count the products of matrices that
`models/cost.py` counts, three times for forward and backward. `needed` is the number of videos a second that keeps the
device busy; `delivered` is what the reader of training delivers, by `--input`, the JSON of input_readers.py, or as
measured first.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from input_readers import OURS, add_data_option, measure, with_data
from measuring import Spread, Worker, count, line, machine, table, write_json
from step_worker import POLICIES, Setting

from models.cost import cost
from models.errors import InputError
from models.features import YT8M_CLASSES
from models.settings import RecurrentSettings, WholeModelSettings
from pipeline.experiments import find_experiment

# One of each encoder.
EXPERIMENTS = (
    "frame-average-2304-1152",
    "dbof-2048",
    "netvlad-100",
    "nextvlad-128",
    "netfv-60",
    "lstm-2x1024",
    "gru-2x1200",
    "transformer-3x10",
)
# TFLOP/s of POLICIES without sparsity, from NVIDIA's data sheets (of the SXM modules of H100, H200 and A100). Those of
# H100, H200 and L4 list TF32 and bfloat16 with sparsity, twice as much. A T4 has neither.
PEAKS: dict[str, tuple[float, ...]] = {
    "H100": (66.9, 494.7, 989.4),
    "H200": (66.9, 494.7, 989.4),
    "A100": (19.5, 156.0, 312.0),
    "L4": (30.3, 60.0, 121.0),
    "T4": (8.1,),
}

WORKER = Path(__file__).with_name("step_worker.py")
COLUMNS = ("experiment", "precision", "XLA", "batch", "ms a step", "TFLOP/s", "of peak", "videos/s needed", "delivered")


@dataclass(frozen=True)
class StepCost:
    """Seconds of a step, and what follows from them: TFLOP/s, share of the peak, videos a second."""

    setting: Setting
    seconds: Spread
    tflops: float
    share: float | None
    needed: float
    delivered: float | None

    @classmethod
    def of(
        cls, setting: Setting, seconds: Sequence[float], peak: float | None, delivered: Mapping[bool, float]
    ) -> "StepCost":
        """From the seconds of a step in each round, the peak in TFLOP/s and the reader's videos a second by level."""
        spread = Spread.of(seconds)
        forward = cost(setting.recipe.model, YT8M_CLASSES, setting.frames)
        assert forward, "an ensemble has no cost of its own"
        needed = setting.batch / spread.median
        tflops = 3 * forward.flops * needed / 1e12
        return cls(setting, spread, tflops, peak and tflops / peak, needed, delivered.get(setting.reads_means))

    @property
    def row(self) -> list[str]:
        """The cells of a line of the table."""
        setting, milliseconds = self.setting, Spread(*(1000 * second for second in asdict(self.seconds).values()))
        cells = [setting.experiment, setting.precision, "yes" if setting.xla else "no", f"{setting.batch}"]
        cells += [f"{milliseconds:.1f}", f"{self.tflops:.3g}", "" if self.share is None else f"{self.share:.1%}"]
        return [*cells, f"{self.needed:,.0f}", "" if self.delivered is None else f"{self.delivered:,.0f}"]


def settings(arguments: argparse.Namespace, gpu: bool) -> Iterator[Setting]:
    """All settings that the options ask for; XLA compiles no recurrent encoders."""
    precisions = arguments.precisions or (list(POLICIES) if gpu else ["float32"])
    for name, precision, xla in product(arguments.experiments, precisions, arguments.xla or ["no", "yes"][: 1 + gpu]):
        recipe = find_experiment(name)
        batch = arguments.batch or (recipe.training.batch_size if gpu else 8)
        if not (xla == "yes" and isinstance(recipe.model.encoder, RecurrentSettings)):
            yield Setting(name, precision, xla == "yes", batch)


def peaks(gpu: str, precisions: Sequence[str], given: Sequence[float] | None) -> dict[str, float]:
    """TFLOP/s by precision: as given, else those of the GPU; without the unknown."""
    if given:
        return dict(zip(precisions, given, strict=True))
    known = next((peaks for name, peaks in PEAKS.items() if name in gpu.replace("-", " ").split()), ())
    return dict(zip(POLICIES, known, strict=False))


def delivered_videos(arguments: argparse.Namespace) -> dict[bool, float]:
    """Videos a second that the reader of training delivers: of means (true) and of all frames (false)."""
    wanted = {level: OURS[level][:1] for level in OURS}
    if arguments.input:
        readers = json.loads(arguments.input.read_text())["readers"]
        found = {(reader["level"], reader["reader"]): reader["wall"]["median"] for reader in readers}
    else:
        costs = with_data(arguments.data, lambda folder: measure(folder, 3, wanted))
        found = {(cost.level, cost.reader): cost.wall.median for cost in costs}
    return {level == "video": 1000 / found[level, name] for level, [name] in wanted.items() if (level, name) in found}


def main(options: Sequence[str] | None = None) -> None:
    """Prints a line for each setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", nargs="+", metavar="NAME", default=EXPERIMENTS)
    parser.add_argument("--precisions", nargs="+", choices=POLICIES, help="by default all, on a CPU float32")
    parser.add_argument("--xla", nargs="+", choices=("no", "yes"), help="by default both, on a CPU no")
    parser.add_argument("--batch", type=count, help="by default the experiment's, on a CPU 8")
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--peak-tflops", nargs="+", type=float, metavar="N", help="of the device, one a precision")
    parser.add_argument("--input", type=Path, metavar="FILE", help="JSON of input_readers.py")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    add_data_option(parser)
    arguments = parser.parse_args(options)
    check(parser, arguments)
    with Worker([WORKER]) as asked:
        gpu = asked.ask("device")
    delivered = delivered_videos(arguments)
    known = peaks(gpu, arguments.precisions, arguments.peak_tflops)
    print(f"Device: {gpu or 'CPU'}\n\n{table(COLUMNS, [])}", flush=True)
    costs, failed = [], 0
    for setting in settings(arguments, bool(gpu)):
        try:
            with Worker([WORKER, setting.to_json()]) as worker:
                seconds = [worker.ask("steps") for _ in range(arguments.rounds)]
        except RuntimeError as error:  # too little memory, say: the other settings are still worth measuring
            print(f"{setting}: {error}", file=sys.stderr)
            failed += 1
            continue
        costs.append(StepCost.of(setting, seconds, known.get(setting.precision), delivered))
        print(line(costs[-1].row), flush=True)
    if arguments.json:
        about = {"machine": machine() | {"gpu": gpu}, "rounds": arguments.rounds}
        write_json(arguments.json, about | {"steps": [asdict(cost) for cost in costs]})
    sys.exit(failed > 0)


def check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Exits at options that don't go together, and at names of no experiments."""
    if arguments.peak_tflops and len(arguments.peak_tflops) != len(arguments.precisions or ()):
        parser.error("argument --peak-tflops: expected as many numbers as --precisions has names")
    if arguments.input and not arguments.input.is_file():
        parser.error(f"argument --input: {arguments.input} is not a file")
    for name in arguments.experiments:
        try:
            if isinstance(find_experiment(name).model.encoder, WholeModelSettings):
                parser.error(f"argument --experiments: {name} has no layers that are trained")
        except InputError as error:
            parser.error(f"argument --experiments: {error}")


if __name__ == "__main__":
    main()
