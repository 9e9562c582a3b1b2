"""The comparison as text: Markdown for a file, a short table for the console."""

import re
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Column
from rich.table import Table as ConsoleTable
from rich.text import Text

from pipeline.reports.thesis.comparison import READING, Comparison
from pipeline.reports.thesis.data_sets import SPLITS
from pipeline.reports.thesis.tables import Table

SHORT = ("seed", "f1_test_published", "f1_test", "f1_test_difference")


def markdown(comparison: Comparison) -> str:
    """The data, the tables and how to read them, in Markdown."""
    blocks = ["# Runs and the thesis", "## Data", *(_escaped(remark) for remark in comparison.remarks)]
    header = ["", "data", "validation data", "test data", "level", "split", *SPLITS, "what it is"]
    rows = []
    for data in comparison.data_sets:
        counts = [data.count(split) for split in SPLITS]
        patterns = [data.pattern, data.validation_data, data.test_data]
        rows.append([data.name, *patterns, data.level, data.split, *counts, data.words])
    blocks.append(_grid(header, rows, {number for number, name in enumerate(header) if name in SPLITS}))
    if comparison.left_out:
        blocks.append("Not finished, so not in the tables:")
        blocks.append("\n".join(f"- {_escaped(name)}: {reason}" for name, reason in comparison.left_out.items()))
    for table in comparison.tables:
        blocks += [f"## {table.title}", _table(table)]
    return "\n\n".join([*blocks, "## How to read this", *READING]) + "\n"


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Prints the test scores of all runs in at most 80 columns, and the caveats."""
    grid = ConsoleTable(Column("experiment", overflow="fold"), "data", box=None, pad_edge=False)
    for head in ("seed", "thesis F1", "test F1", "difference"):
        grid.add_column(head, justify="right", no_wrap=True)
    changes = []
    for table in comparison.tables:
        for line in table.lines:
            if line.kind == "not run":
                continue
            cells = dict(zip((column.key for column in table.columns), table.cells(line), strict=True))
            name = Text(cells["experiment"] + " *" * bool(line.remarks))
            grid.add_row(name, line.data, *(cells.get(key, "") for key in SHORT))
            if line.remarks:
                changes.append(f"* {line.experiment}, data {line.data}: {'; '.join(line.remarks)}")
    console.print(grid)
    unfinished = [f"not finished: {name}: {reason}" for name, reason in comparison.left_out.items()]
    for text in ["", *changes, *comparison.remarks, *unfinished]:
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _table(table: Table) -> str:
    header = [f"{column.group} {column.head}".strip() for column in table.columns]
    rows = [[*table.cells(line), "; ".join(line.remarks)] for line in table.lines]
    numbers = {place for place, column in enumerate(table.columns) if column.number}
    if any(row[-1] for row in rows):
        return _grid([*header, "remarks"], rows, numbers)
    return _grid(header, [row[:-1] for row in rows], numbers)


def _grid(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: set[int]) -> str:
    """A table in GitHub's Markdown; columns of numbers are right-aligned."""
    rule = ["---:" if place in numbers else "---" for place in range(len(header))]
    lines = [header, rule, *([_escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    """Text on one line, with Markdown characters escaped."""
    return re.sub(r"([\\`*\[\]<>|~])", r"\\\1", " ".join(text.split()))
