"""The thesis' tables 4 to 15 with our runs; cells hold numbers until they are shown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from statistics import fmean, stdev
from typing import Any, Literal, NamedTuple

from pipeline.experiments import Experiment, catalogue
from pipeline.reports.thesis.results import WORDS, Result, as_text, entry_settings

TITLES = {
    4: "Average pooling results on the video level dataset",
    5: "Two stream average pooling results on the video level dataset",
    6: "Average pooling results on the frame-level dataset",
    7: "Average pooling results with dropout on the frame level dataset",
    8: "LSTM model results",
    9: "GRU model results",
    10: "Transformer model hyperparameter tuning",
    11: "Transformer model results",
    12: "DBoF model results",
    13: "NetVLAD model results",
    14: "NetFV model results",
    15: "Best model results",
}

OTHER = "Other experiments"


class Spread(NamedTuple):
    """Mean and sample standard deviation (n - 1) over seeds."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Column:
    """A column: its key in `Line.values`, the heading it shares with neighbours, its own, and the format of values."""

    key: str
    group: str
    head: str
    show: Callable[[Any], str] = str
    number: bool = True


@dataclass(frozen=True)
class Line:
    """A table line: a run, the mean over seeds of the runs above it, or a row of the thesis that was not run.

    Attributes:
        data: the name of the data set.
        values: by column; a missing one makes an empty cell.
        remarks: the settings that the run changed.
    """

    kind: Literal["run", "mean", "not run"]
    experiment: str
    data: str
    values: Mapping[str, Any]
    remarks: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """A table; `number` is that of the thesis, None for runs of other experiments."""

    number: int | None
    name: str
    columns: Sequence[Column]
    lines: Sequence[Line]

    @property
    def title(self) -> str:
        """Number and name."""
        return self.name if self.number is None else f"Table {self.number}: {self.name}"

    def cells(self, line: Line) -> list[str]:
        """The cells of a line as text."""
        return [_shown(column, line.values.get(column.key)) for column in self.columns]


def tables(results: Sequence[Result]) -> list[Table]:
    """The thesis' tables that have a run, in its order, then a table of other experiments."""
    filled = []
    for number, name in TITLES.items():
        entries = [entry for entry in catalogue().values() if entry.published and entry.published.table == number]
        members = [result for result in results if result.entry in entries]
        if members:
            rows = [(entry, [result for result in members if result.entry == entry]) for entry in entries]
            lines = [line for entry, runs in rows for line in (_lines(runs) if runs else [_not_run(entry)])]
            varying = _varying([entry_settings(entry) for entry in entries])
            filled.append(_table(number, name, varying, lines))
    others = [result for result in results if not is_thesis_row(result)]
    if others:
        names = dict.fromkeys(result.experiment for result in others)
        lines = [line for name in names for line in _lines([run for run in others if run.experiment == name])]
        filled.append(_table(None, OTHER, _varying([result.settings for result in others]), lines))
    return filled


def is_thesis_row(result: Result) -> bool:
    """Whether the run is of an experiment in the thesis' tables."""
    return result.entry is not None and result.entry.published is not None


def _varying(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings to show, in the order of WORDS: those that differ, or the encoder's sizes if none does."""
    varying = [
        key for key in WORDS if len({as_text(values[key]) if key in values else None for values in settings}) > 1
    ]
    sizes = [key for key in WORDS if key.startswith("model.encoder.") and key != "model.encoder.name"]
    return varying or [key for key in sizes if key in settings[0]]


def _table(number: int | None, name: str, varying: Iterable[str], lines: Sequence[Line]) -> Table:
    # Only table 15 has published precision and recall, and our own experiments have no published results.
    empty = {column.key for column in RESULTS if all(line.values.get(column.key) is None for line in lines)}
    if "precision_published" in empty:
        empty |= {"precision", "recall"}
    columns = [
        Column("experiment", "", "experiment", number=False),
        *(Column(key, "", WORDS[key], number=False) for key in varying),
        Column("data", "", "data", number=False),
        Column("seed", "", "seed"),
        *(column for column in RESULTS if column.key not in empty),
    ]
    return Table(number, name, columns, lines)


def _lines(results: Sequence[Result]) -> list[Line]:
    """The runs of one experiment; the mean follows runs that differ only in their seeds."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(repr((result.data.name, sorted(result.settings.items()))), []).append(result)
    lines = []
    for members in groups.values():
        lines += [
            Line("run", result.experiment, result.data.name, _values(result, several=len(results) > 1), result.changes)
            for result in members
        ]
        by_seed: dict[int, list[Result]] = {}
        for result in members:
            by_seed.setdefault(result.run.settings.seed, []).append(result)
        if len(by_seed) > 1:
            lines.append(_mean(by_seed))
    return lines


def _values(result: Result, several: bool) -> dict[str, Any]:
    """The cells of a run; several runs of an experiment are told apart by the names of their folders."""
    folder = PurePath(result.run.name).name
    name = f"{result.experiment} ({folder})" if several and folder != result.experiment else result.experiment
    return result.record() | {"experiment": name, "data": result.data.short}


def _mean(by_seed: Mapping[int, Sequence[Result]]) -> Line:
    first = next(iter(by_seed.values()))[0]
    values: dict[str, Any] = {
        "experiment": f"mean ± deviation of {len(by_seed)} seeds",
        "data": first.data.short,
    }
    for key in ("f1_train", "f1_validation", "f1_test", "f1_test_difference", "precision", "recall"):
        seeds = [[result.record()[key] for result in results] for results in by_seed.values()]
        if all(value is not None for numbers in seeds for value in numbers):
            means = [fmean(numbers) for numbers in seeds]
            values[key] = fmean(means) if key == "f1_test_difference" else Spread(fmean(means), stdev(means))
    return Line("mean", first.experiment, first.data.name, values)


def _not_run(entry: Experiment) -> Line:
    assert entry.published is not None
    settings = {key: as_text(value) for key, value in entry_settings(entry).items()}
    published = {f"{key}_published": value for key, value in entry.published.model_dump().items()}
    return Line("not run", entry.name, "", {**settings, **published, "experiment": entry.name, "data": "not run"})


def _shown(column: Column, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Spread):
        return f"{column.show(value.mean)} ± {column.show(value.deviation)}"
    return value if isinstance(value, str) else column.show(value)


def _amount(value: float) -> str:
    """At least three digits: 0.0123, 1.23, 123, 12,345."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


RESULTS = (
    Column("f1_train_published", "F1 train", "thesis", "{:.3f}".format),
    Column("f1_train", "F1 train", "ours", "{:.4f}".format),
    Column("f1_validation", "F1 validation", "ours", "{:.4f}".format),
    Column("f1_test_published", "F1 test", "thesis", "{:.3f}".format),
    Column("f1_test", "F1 test", "ours", "{:.4f}".format),
    Column("f1_test_difference", "F1 test", "difference", "{:+.4f}".format),
    Column("precision_published", "test precision", "thesis", "{:.3f}".format),
    Column("precision", "test precision", "ours", "{:.4f}".format),
    Column("recall_published", "test recall", "thesis", "{:.3f}".format),
    Column("recall", "test recall", "ours", "{:.4f}".format),
    Column("epochs_published", "epochs", "thesis"),
    Column("epochs", "epochs", "ours"),
    Column("best_epoch", "epochs", "best"),
    Column("minutes_per_epoch_published", "minutes per epoch", "thesis", _amount),
    Column("minutes_per_epoch", "minutes per epoch", "ours", _amount),
    Column("videos_per_second", "", "videos per second", _amount),
    Column("parameters", "", "parameters", "{:,}".format),
)
