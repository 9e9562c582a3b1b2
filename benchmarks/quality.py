"""How well recipes of the catalogue predict the labels of real videos, beside baselines in bare Keras.

    YT8M_DATA=FOLDER python benchmarks/quality.py [--experiments average-logistic,average-2304-1152] [--seeds 0,1,2]
        [--out runs/bench-quality] [--only ROW ...] [--shards N] [--max-epochs N]

FOLDER holds video-level shards in video/, and perhaps vocabulary/vocabulary.csv. Of the shards, in the order of their
names, the last tenth is the test split and the tenth before it the validation split, whatever the seed. Every recipe is
trained with each seed: those of the catalogue by `yt8m run`, the baselines by quality_models.py. All are scored by
quality_scores.py, from the probabilities for the test split alone; validation fits the threshold of "fitted F1".

A cell is the mean over seeds (lowest-highest); `NAME x3` is the ensemble of a recipe's three models, by their mean
probabilities. Intervals are those of the difference to PEER in the means over seeds: 95 % of 1000 bootstrap replicates
over test videos. Seconds are those of training and validation; megabytes are the peak of the training's process.

What has been trained with the same settings is not trained again: run it in parts with --only, then once without.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import quality_models
from measuring import QUIET, count, folder, machine, table, write_json
from quality_models import BASELINES, PREDICTED, load
from quality_scores import COMPARED, COSTS, SCORES, Cost, Row, Truth, draws, ensemble, fit_threshold

from models.errors import InputError
from pipeline.experiments import Experiment, find_experiment

# Of the catalogue: the thesis' simplest model, its recipe for means, and ours.
EXPERIMENTS = ("average-logistic", "average-2304-1152", "tuned-logistic", "tuned-average", "neighbours")

# Rows that are trained on the models of others with the same seed: the experiment, the setting that names these models,
# and their rows.
BUILT = {
    "ensemble": ("ensemble", "model.encoder.members", ("tuned-average", "neighbours")),
    "student": ("tuned-average", "training.teachers", ("ensemble",)),
}
SEEDS = (0, 1, 2)

# The row that all others are compared with: what is easily written without this project.
PEER = "dense-dropout"
REPLICATES = 1000

DATA = os.environ.get("YT8M_DATA") or Path(__file__).parents[2] / "shared" / "data"
YT8M = Path(sys.executable).with_name("yt8m")
COLUMNS = ("row", *SCORES.values(), *(f"{SCORES[name]} - {PEER}" for name in COMPARED), *COSTS.values())


@dataclass(frozen=True)
class Data:
    """The shards of each split, and the folder where their links and their arrays are."""

    shards: Mapping[str, Sequence[Path]]
    vocabulary: Path | None
    folder: Path

    @classmethod
    def of(cls, source: Path, number: int | None, out: Path) -> "Data":
        """The first `number` shards of the source's folder video/.

        Raises:
            InputError: there are fewer than three shards.
        """
        files = sorted(source.resolve().glob("video/*.tfrecord"))[:number]
        if len(files) < 3:
            raise InputError(f"{source}/video has {len(files)} shards (*.tfrecord), expected 3 or more: set YT8M_DATA")
        tenth = max(1, round(len(files) / 10))
        shards = {"train": files[: -2 * tenth], "validation": files[-2 * tenth : -tenth], "test": files[-tenth:]}
        vocabulary = source.resolve() / "vocabulary" / "vocabulary.csv"
        known = vocabulary if vocabulary.exists() else None
        return cls(shards, known, out / "data" / _digest([(file.name, file.stat().st_size) for file in files]))

    def prepare(self) -> None:
        """Links the shards of each split in a folder, and reads them into arrays."""
        for split, shards in self.shards.items():
            links, arrays = self.links(split), self.folder / f"{split}.npz"
            links.mkdir(parents=True, exist_ok=True)
            for shard in shards:
                link = links / shard.name
                if not link.exists():
                    link.unlink(missing_ok=True)  # to a folder that has moved
                    link.symlink_to(shard)
            if not arrays.exists():
                unfinished = self.folder / "unfinished.npz"
                work("read", links, unfinished)
                unfinished.rename(arrays)

    def links(self, split: str) -> Path:
        """The folder of a split's shards."""
        return self.folder / split


@dataclass(frozen=True)
class Training:
    """One training of a row: a baseline or an experiment, with a seed.

    Attributes:
        row: its name.
        seed: of all that is random.
        max_epochs: ends the training, if nothing else does.
        experiment: None for a baseline.
        data: what it is trained on.
        out: folder of the benchmark.
        sources: trainings whose models it needs.
        setting: that names these models.
    """

    row: str
    seed: int
    max_epochs: int | None
    experiment: Experiment | None
    data: Data
    out: Path
    sources: tuple["Training", ...] = ()
    setting: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """All that its probabilities depend on, without settings of the catalogue that have their default."""
        recipe = (
            self.experiment.model_dump(mode="json", include={"model", "training"}, exclude_defaults=True)
            if self.experiment
            else asdict(BASELINES[self.row])
        )
        data = self.data.folder.name
        settings = {"row": self.row, "seed": self.seed, "max_epochs": self.max_epochs, "recipe": recipe, "data": data}
        return settings | ({"sources": [source.folder.name for source in self.sources]} if self.sources else {})

    @property
    def folder(self) -> Path:
        """Where its probabilities and its cost are."""
        return self.out / "models" / f"{self.row}-seed{self.seed}-{_digest(self.settings)}"

    @property
    def cost(self) -> Cost | None:
        """Seconds, epochs, megabytes and parameters, if it has ended."""
        file = self.folder / "cost.json"
        return json.loads(file.read_text()) if file.exists() else None

    def probabilities(self, split: str) -> np.ndarray:
        """What it predicts, float32 [videos, classes]."""
        return np.load(self.folder / f"{split}.npy")

    def train(self) -> bool:
        """Trains and predicts; returns whether that succeeded. A killed `yt8m run` resumes."""
        print(f"{self.row}, seed {self.seed}: {self.folder}", flush=True)
        write_json(self.folder / "settings.json", self.settings)
        try:
            if self.experiment:
                self._run()
            else:
                epochs = self.max_epochs or BASELINES[self.row].max_epochs
                work("train", self.row, self.seed, epochs, self.data.folder, self.folder)
        except subprocess.CalledProcessError:
            return False
        return True

    def _run(self) -> None:
        assert self.experiment
        run, name = self.folder / "run", self.experiment.name
        if not (run / "scores.json").exists():
            patterns = {"--data": "train", "--validation-data": "validation", "--test-data": "test"}
            command: list[str | Path] = [YT8M, "run", "--experiment", name, "--seed", str(self.seed), "--out", run]
            for option, split in patterns.items():
                command += [option, f"{self.data.links(split)}/*.tfrecord"]
            command += ["--vocabulary", self.data.vocabulary] if self.data.vocabulary else []
            command += ["--set", f"training.max_epochs={self.max_epochs}"] if self.max_epochs else []
            if self.sources:
                folders = ", ".join(str(source.folder / "run") for source in self.sources)
                command += ["--set", f"{self.setting}=[{folders}]", "--set", "level=video"]
            subprocess.run(command, check=True)
        work("predict", find_model(run), self.data.folder, self.folder)
        write_json(self.folder / "cost.json", cost_of(run))
        # Copies of the videos, 300 MB, and the state of a training that has ended.
        for artifacts in ("pipeline_root", "checkpoints"):
            shutil.rmtree(run / artifacts, ignore_errors=True)


def work(*arguments: object) -> None:
    """Runs quality_models.py in a process of its own."""
    command = [sys.executable, quality_models.__file__, *map(str, arguments)]
    subprocess.run(command, check=True, env={**os.environ, **QUIET})


def find_model(run: Path) -> Path:
    """The newest pushed model of a run folder; where none was blessed, that of the Trainer."""
    for pattern in ("serving/*", "pipeline_root/Trainer/model/*/Format-Serving"):
        if models := sorted(run.glob(pattern), key=lambda model: model.stat().st_mtime):
            return models[-1]
    raise FileNotFoundError(f"{run} holds no model")


def cost_of(run: Path) -> Cost:
    """The cost of the training of a run; its memory is unknown where the run was killed after the training."""
    log = json.loads((run / "training_log.json").read_text())
    seconds = sum(epoch["seconds"] for epoch in log["epochs"])
    cost = {"seconds": seconds, "epochs": len(log["epochs"]), "parameters": log["parameters"]}
    for step in json.loads((run / "steps.json").read_text()):
        if step["name"] == "Trainer" and step["state"] == "done":
            cost["memory_mb"] = step["peak_memory_mb"]
    return cost


def rows(trainings: Sequence[Training], data: Data) -> Iterator[Row]:
    """A row of each recipe whose trainings have all ended, and of the ensemble of its seeds."""
    labels = {split: load(data.folder, split)[1] for split in PREDICTED}
    truth = Truth(labels["test"], draws(len(labels["test"]), REPLICATES))

    def row(name: str, costs: Sequence[Cost], models: Sequence[Mapping[str, np.ndarray]]) -> Row:
        thresholds = [fit_threshold(model["validation"], labels["validation"]) for model in models]
        scores = [truth.scores(model["test"], threshold) for model, threshold in zip(models, thresholds, strict=True)]
        return Row(name, costs, thresholds, {name: np.stack([of[name] for of in scores]) for name in SCORES})

    for name, of_row in groupby(trainings, lambda training: training.row):
        members = list(of_row)
        costs = [training.cost for training in members if training.cost]
        if len(costs) < len(members):
            continue
        models = [{split: training.probabilities(split) for split in PREDICTED} for training in members]
        yield row(name, costs, models)
        if len(models) > 1:
            joined = {split: ensemble([model[split] for model in models]) for split in PREDICTED}
            yield row(f"{name} x{len(models)}", [total(costs)], [joined])


def total(costs: Sequence[Cost]) -> Cost:
    """What an ensemble costs: the sums of its members', and their highest memory."""
    known = {name: [cost[name] for cost in costs if name in cost] for name in COSTS}
    return {name: max(values) if name == "memory_mb" else sum(values) for name, values in known.items() if values}


def plan(arguments: argparse.Namespace, data: Data) -> list[Training]:
    """All trainings, row by row, each after those whose models it needs.

    Raises:
        InputError: no experiment has a name, or it is not one that trains on means.
    """
    experiments: dict[str, Experiment | None] = dict.fromkeys(BASELINES)
    for name in arguments.experiments:
        experiments[name] = experiment = find_experiment(name)
        if experiment.level != "video":
            raise InputError(f"experiment {name} does not train on means, expected one of level video")
    trainings = {
        (name, seed): Training(name, seed, arguments.max_epochs, experiment, data, arguments.out.resolve())
        for name, experiment in experiments.items()
        for seed in arguments.seeds
    }
    for row, (name, setting, sources) in BUILT.items():
        if all((source, seed) in trainings for source in sources for seed in arguments.seeds):
            for seed in arguments.seeds:
                trainings[row, seed] = Training(
                    row, seed, arguments.max_epochs, find_experiment(name), data, arguments.out.resolve(),
                    tuple(trainings[source, seed] for source in sources), setting,
                )  # fmt: skip
    known = dict.fromkeys(row for row, _ in trainings)
    if unknown := {*(arguments.only or ())} - {*known}:
        raise InputError(f"--only is {', '.join(sorted(unknown))}, allowed: {', '.join(known)}")
    return list(trainings.values())


def main(options: Sequence[str] | None = None) -> None:
    """Trains what is missing, prints the table, and writes it and all figures; a training that fails ends no other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=names, default=EXPERIMENTS, metavar="NAME[,NAME]")
    parser.add_argument("--seeds", type=seeds, default=SEEDS, metavar="N[,N]")
    parser.add_argument("--out", type=folder, default=Path("runs/bench-quality"))
    parser.add_argument(
        "--only", nargs="+", metavar="ROW", help="train these recipes; the table has all that are there"
    )
    parser.add_argument("--shards", type=count, metavar="N", help="the first N shards, by default all")
    parser.add_argument("--max-epochs", type=count, metavar="N", help="end each training after so many epochs")
    arguments = parser.parse_args(options)
    try:
        data = Data.of(Path(DATA), arguments.shards, arguments.out.resolve())
        trainings = plan(arguments, data)
    except InputError as error:
        parser.error(str(error))
    data.prepare()
    chosen = [training for training in trainings if training.row in (arguments.only or [training.row])]
    failures = [training for training in chosen if not training.cost and not training.train()]
    report(list(rows(trainings, data)), data, arguments.out)
    if missing := dict.fromkeys(training.row for training in trainings if not training.cost):
        print(f"not trained with every seed: {', '.join(missing)}")
    if failures:
        sys.exit(f"failed: {', '.join(f'{training.row} with seed {training.seed}' for training in failures)}")


def report(lines: Sequence[Row], data: Data, out: Path) -> None:
    """Prints the table, and writes it and all figures."""
    peer = next((row for row in lines if row.name == PEER), None)
    text = table(COLUMNS, [row.cells(peer) for row in lines])
    print(text)
    (out / "quality.md").write_text(text + "\n")
    shards = {split: [shard.name for shard in shards] for split, shards in data.shards.items()}
    figures = [row.summary(peer) for row in lines]
    write_json(out / "quality.json", {"machine": machine(), "shards": shards, "rows": figures})


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them, for argparse."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def seeds(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between them, for argparse."""
    if not all(part.strip().isdecimal() for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r}, expected whole numbers with commas between them")
    return tuple(int(part) for part in text.split(","))


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


if __name__ == "__main__":
    main()
