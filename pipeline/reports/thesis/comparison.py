"""Runs, their data, the thesis' tables that they belong to, and caveats for the reader."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.errors import plural
from pipeline.reports.thesis.data_sets import DataSet
from pipeline.reports.thesis.results import Result, results
from pipeline.reports.thesis.runs import Runs
from pipeline.reports.thesis.tables import TITLES, Spread, Table, tables

READING = (
    "All scores are micro averages over (video, label) pairs at a threshold of 0.5. Our train and validation scores "
    "are those of the best epoch, whose weights the model has; the training F1 was measured during that epoch, while "
    "the weights changed and with dropout on. The difference is our test F1 minus the published one; the deviation "
    "over seeds is the standard deviation of a sample (n - 1).",
    "The percentage beside a data set is the number of its training videos as a share of the thesis'.",
    "Minutes per epoch and videos per second are medians over the epochs of a run. They count training videos; the "
    "time includes the validation after the epoch. The published minutes were measured on the thesis' own machine and "
    "data.",
)


@dataclass(frozen=True)
class Comparison:
    """The content of the report; `left_out` has the names of unfinished runs, with what they lack."""

    results: Sequence[Result]
    data_sets: Sequence[DataSet]
    tables: Sequence[Table]
    left_out: dict[str, str]

    @property
    def tables_without_run(self) -> list[int]:
        """Numbers of the thesis' tables to which no run belongs."""
        return sorted(set(TITLES) - {table.number for table in self.tables})

    @property
    def remarks(self) -> list[str]:
        """Caveats for the reader."""
        remarks = [f"Data {data.name}: {data.words}." for data in self.data_sets if data.synthetic or data.share < 1]
        if remarks:
            remarks.append("Scores below the published ones on such data do not mean that the reproduction failed.")
        changed = sum(bool(result.changes) for result in self.results)
        if changed:
            of = f"{changed} of {plural(len(self.results), 'run')}"
            remarks.append(f"{of} had other settings than the catalogue's experiment; the tables name them.")
        if self.tables_without_run:
            remarks.append(f"Tables of the thesis without a run: {', '.join(map(str, self.tables_without_run))}.")
        return remarks

    def as_json(self) -> dict[str, Any]:
        """Content of the tables, with numbers in full precision."""
        lines = [line for table in self.tables for line in table.lines]
        return {
            "data": [vars(data) | {"words": data.words} for data in self.data_sets],
            "runs": [result.record() for result in self.results],
            "means": [
                {key: value._asdict() if isinstance(value, Spread) else value for key, value in line.values.items()}
                | {"experiment": line.experiment, "data": line.data}
                for line in lines
                if line.kind == "mean"
            ],
            "not_run": [line.experiment for line in lines if line.kind == "not run"],
            "tables_without_run": self.tables_without_run,
            "unfinished": self.left_out,
        }


def compare(runs: Runs) -> Comparison:
    """Compares runs with the published results.

    Raises:
        InputError: the published values in the settings of a run are not valid.
    """
    compared = results(runs.finished)
    data = {result.data.name: result.data for result in compared}
    names = sorted(data, key=lambda name: (len(name), name))
    return Comparison(compared, [data[name] for name in names], tables(compared), runs.left_out)
