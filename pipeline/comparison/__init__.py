"""Runs beside the thesis' tables 4 to 15: report.html, report.md and report.csv."""

import csv
from itertools import groupby
from pathlib import Path

from components.pages import page_templates
from pipeline.comparison.comparison import READING, Comparison
from pipeline.comparison.data_sets import SPLITS
from pipeline.comparison.plots import plots
from pipeline.comparison.tables import Column, Table
from pipeline.comparison.text import markdown


def write_comparison(comparison: Comparison, out: Path) -> Path:
    """Writes the three files into a folder; returns the path of report.html, which loads nothing."""
    out.mkdir(parents=True, exist_ok=True)
    page = out / "report.html"
    template = page_templates(Path(__file__).parent).get_template("comparison.html")
    page.write_text(
        template.render(
            comparison=comparison, plots=plots(comparison.results), splits=SPLITS, heads=_heads, reading=READING
        ),
        "utf-8",
    )
    page.with_suffix(".md").write_text(markdown(comparison), "utf-8")
    records = [result.record() for result in comparison.results]
    with page.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    return page


def _heads(table: Table) -> list[tuple[str, list[Column]]]:
    """Neighbouring columns by the head they share; an empty one is none."""
    return [(group, list(columns)) for group, columns in groupby(table.columns, lambda column: column.group)]
