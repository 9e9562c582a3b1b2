"""Runs compared with the thesis' tables 4 to 15: report.html, report.md and report.csv."""

import csv
import io
from itertools import groupby
from pathlib import Path
from typing import Any

from components.pages import page_templates
from models.whole_files import write_file
from pipeline.reports.thesis.comparison import READING, Comparison
from pipeline.reports.thesis.data_sets import SPLITS
from pipeline.reports.thesis.plots import plots
from pipeline.reports.thesis.tables import Column, Table
from pipeline.reports.thesis.text import markdown


def write_comparison(comparison: Comparison, out: Path) -> Path:
    """Writes the three files into a folder; returns the path of report.html, which is self-contained."""
    out.mkdir(parents=True, exist_ok=True)
    page = out / "report.html"
    template = page_templates(Path(__file__).parent).get_template("comparison.html")
    html = template.render(
        comparison=comparison, plots=plots(comparison.results), splits=SPLITS, heads=_heads, reading=READING
    )
    write_file(page, html)
    write_file(page.with_suffix(".md"), markdown(comparison))
    write_file(page.with_suffix(".csv"), _csv([result.record() for result in comparison.results]))
    return page


def _csv(records: list[dict[str, Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(records[0]))
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _heads(table: Table) -> list[tuple[str, list[Column]]]:
    """Groups of neighbouring columns with the heading they share, "" for none."""
    return [(group, list(columns)) for group, columns in groupby(table.columns, lambda column: column.group)]
