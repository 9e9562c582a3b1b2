"""A run and the published results of its experiment, as numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any

from pydantic import ValidationError

from models.dotted_keys import flatten
from models.errors import InputError
from pipeline.experiments import Experiment, Published, catalogue
from pipeline.reports.thesis.data_sets import DataSet, data_sets
from pipeline.reports.thesis.runs import Run
from pipeline.validation import explain

# Names of the settings by which experiments differ; a table shows those that vary in it, in this order.
WORDS = {
    "level": "level",
    "model.encoder.name": "encoder",
    "model.encoder.layers": "layers",
    "model.encoder.units": "layer units",
    "model.encoder.heads": "heads",
    "model.encoder.dense_units": "dense units in transformer",
    "model.encoder.clusters": "clusters",
    "model.two_stream": "two stream",
    "model.hidden_units": "hidden layer units",
    "model.hidden_units_audio": "audio hidden layer units",
    "model.context_gating": "gating",
    "model.dropout": "dropout rate",
    "model.pooled_dropout": "dropout after pooling",
    "model.experts": "experts",
    "training.clipvalue": "gradient clipping",
    "training.learning_rate": "learning rate",
}

ENCODERS = {
    "average": "average",
    "lstm": "LSTM",
    "gru": "GRU",
    "transformer": "transformer",
    "dbof": "DBoF",
    "netvlad": "NetVLAD",
    "netfv": "NetFV",
    "nextvlad": "NeXtVLAD",
    "neighbours": "nearest neighbours",
    "ensemble": "ensemble",
}

# Less than the catalogue's value makes a run shorter, not another experiment.
LIMITS = ("training.max_epochs", "training.max_hours")


@dataclass(frozen=True)
class Result:
    """A run, its data, and the catalogue's entry of its experiment (None if the catalogue has none of that name)."""

    run: Run
    data: DataSet
    entry: Experiment | None
    published: Published | None

    @property
    def experiment(self) -> str:
        """The name of the experiment."""
        return self.run.settings.experiment

    @property
    def encoder(self) -> str:
        """The encoder's name as the thesis writes it."""
        return ENCODERS.get(self.run.encoder, self.run.encoder)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Level, model and training of the run by dotted keys."""
        settings = self.run.settings
        return flatten({"level": settings.level, "model": settings.model, "training": settings.training})

    @property
    def changes(self) -> list[str]:
        """Settings that differ from the catalogue's, with both values; keys that an old run lacks are ignored."""
        if self.entry is None:
            return []
        expected = entry_settings(self.entry)
        changes = []
        for key, value in self.settings.items():
            if value != expected.get(key):
                shorter = key in LIMITS and isinstance(value, (int, float)) and value < expected[key]
                kind = "shortened" if shorter else "changed"
                changes.append(f"{kind}: {key} {as_text(value)} instead of {as_text(expected.get(key))}")
        return changes

    @property
    def seconds(self) -> float:
        """Seconds of an epoch with its validation: the median over epochs, as the first one also compiles."""
        return median(epoch.seconds for epoch in self.run.log.epochs)

    @property
    def videos_per_second(self) -> float | None:
        """Training videos per second of an epoch with its validation: the median over epochs."""
        speeds = [epoch.videos / epoch.seconds for epoch in self.run.log.epochs if epoch.seconds > 0]
        return median(speeds) if speeds else None

    def record(self) -> dict[str, Any]:
        """All values under machine-readable names, in full precision: a line of report.csv."""
        published = self.published.model_dump() if self.published else {}
        splits, log = self.run.scores.splits, self.run.log
        return {
            "run": self.run.name,
            "experiment": self.experiment,
            "table": published.get("table"),
            "row": published.get("row"),
            "seed": self.run.settings.seed,
            "data": self.data.name,
            "data_pattern": self.data.pattern,
            "validation_data": self.data.validation_data,
            "test_data": self.data.test_data,
            "split": self.data.split,
            "synthetic": self.data.synthetic,
            "train_videos": self.run.train_videos,
            "validation_videos": splits.validation.videos,
            "test_videos": splits.test.videos,
            "share_of_thesis_training_videos": None if self.data.synthetic else self.data.share,
            "changes": "; ".join(self.changes),
            **{key: as_text(self.settings[key]) if key in self.settings else None for key in WORDS},
            "f1_train_published": published.get("f1_train"),
            "f1_train": splits.train.f1,
            "f1_validation": splits.validation.f1,
            "f1_test_published": published.get("f1_test"),
            "f1_test": splits.test.f1,
            "f1_test_difference": splits.test.f1 - published["f1_test"] if published else None,
            "precision_published": published.get("precision"),
            "precision": splits.test.precision,
            "recall_published": published.get("recall"),
            "recall": splits.test.recall,
            "epochs_published": published.get("epochs"),
            "epochs": len(log.epochs),
            "best_epoch": log.best_epoch + 1,
            "minutes_per_epoch_published": published.get("minutes_per_epoch"),
            "minutes_per_epoch": self.seconds / 60,
            "videos_per_second": self.videos_per_second,
            "parameters": log.parameters,
        }


def results(runs: Iterable[Run]) -> list[Result]:
    """Each run with its data and published results, ordered by catalogue, data set and seed."""
    runs = list(runs)
    data, entries = data_sets(runs), catalogue()
    order = {name: number for number, name in enumerate(entries)}
    unordered = []
    for run in runs:
        entry = entries.get(run.settings.experiment)
        unordered.append(Result(run, data[run.name], entry, entry.published if entry else _published(run)))

    def place(result: Result) -> tuple[Any, ...]:
        known = order.get(result.experiment, len(order))
        return known, result.experiment, result.data.name, result.run.settings.seed, result.run.name

    return sorted(unordered, key=place)


def entry_settings(entry: Experiment) -> dict[str, Any]:
    """Level, model and training of an experiment by dotted keys."""
    return flatten(entry.model_dump(mode="json", include={"level", "model", "training"}))


def as_text(value: Any) -> str:
    """A setting as the thesis writes it: yes or no, 2304-1152, 0 for no hidden layers."""
    if value is None or isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return (", " if any(isinstance(item, str) for item in value) else "-").join(map(str, value)) or "0"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _published(run: Run) -> Published | None:
    """The published results in settings.yaml, for a user's own experiment."""
    if run.settings.published is None:
        return None
    try:
        return Published.model_validate(run.settings.published)
    except ValidationError as error:
        raise InputError(f"{run.name}: published: {explain(error, Published)}") from None
