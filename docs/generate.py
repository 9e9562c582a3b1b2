"""Writes the parts of the documentation that follow from the code: catalogue.md and pipeline.svg.

`make docs` runs it; a test compares the committed files with what it would write.
"""

from itertools import groupby
from pathlib import Path

from pipeline.experiments import catalogue
from pipeline.steps import PAGES, TRAITS, Step

HERE = Path(__file__).parent

# Place of each step in the picture: column and row.
PLACES = {
    Step.IMPORT_SCHEMA_GEN: (1, 0),
    Step.STATISTICS_GEN: (2, 0),
    Step.EXAMPLE_VALIDATOR: (3, 0),
    Step.IMPORT_HYPERPARAMETERS: (4, 0),
    Step.EXAMPLE_GEN: (1, 1),
    Step.TRANSFORM: (2, 1),
    Step.TUNER: (3, 1),
    Step.TRAINER: (4, 1),
    Step.EVALUATOR: (5, 1),
    Step.PUSHER: (6, 1),
    Step.DATASET_STATISTICS: (2, 2),
    Step.DRIFT_DETECTOR: (3, 2),
    Step.TEACHER_PREDICTIONS: (4, 2),
    Step.CHAMPION_RESOLVER: (5, 2),
}

# What is no step: raw shards, and the folder of pushed models.
SHARDS, SERVING = (0, 1), (6, 2)

# Artifacts that go from place to place; the third value marks what is optional or only orders steps.
ARROWS = [
    (SHARDS, Step.EXAMPLE_GEN, False),
    (Step.EXAMPLE_GEN, Step.TRANSFORM, False),
    (Step.TRANSFORM, Step.TUNER, False),
    (Step.TUNER, Step.TRAINER, True),
    (Step.TRAINER, Step.EVALUATOR, False),
    (Step.EVALUATOR, Step.PUSHER, False),
    (Step.PUSHER, SERVING, False),
    (Step.IMPORT_SCHEMA_GEN, Step.STATISTICS_GEN, False),
    (Step.EXAMPLE_GEN, Step.STATISTICS_GEN, False),
    (Step.STATISTICS_GEN, Step.EXAMPLE_VALIDATOR, False),
    (Step.IMPORT_HYPERPARAMETERS, Step.TRAINER, True),
    (Step.EXAMPLE_GEN, Step.DATASET_STATISTICS, False),
    (Step.DATASET_STATISTICS, Step.DRIFT_DETECTOR, False),
    (Step.DRIFT_DETECTOR, Step.TRAINER, True),
    (Step.DRIFT_DETECTOR, Step.TEACHER_PREDICTIONS, True),
    (Step.TEACHER_PREDICTIONS, Step.TRAINER, True),
    (Step.CHAMPION_RESOLVER, Step.EVALUATOR, False),
    (SERVING, Step.CHAMPION_RESOLVER, False),
]

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 154, 54, 26, 46, 12

STYLE = """
  text { font: 12.5px system-ui, sans-serif; text-anchor: middle; fill: #1f2328 }
  .note { font-size: 11px; fill: #59636e }
  rect { fill: #f6f8fa; stroke: #818b98 }
  .gpu { fill: #ddf4ff; stroke: #0969da }
  .data { fill: #ffffff; stroke-dasharray: 4 3 }
  path { fill: none; stroke: #59636e; stroke-width: 1.4; marker-end: url(#head) }
  .optional { stroke-dasharray: 5 4 }
  .head { fill: #59636e; stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .note { fill: #b0b8c1 }
    rect { fill: #212830; stroke: #656c76 }
    .gpu { fill: #10233f; stroke: #4493f8 }
    .data { fill: #0d1117 }
    path { stroke: #9198a1 }
    .head { fill: #9198a1 }
  }
"""


def experiments() -> str:
    """The experiments as Markdown, table by table, with the thesis' scores."""
    lines = [
        "# Catalogue",
        "",
        "All experiments, as `yt8m experiments` lists them; `yt8m experiments show NAME` prints one with all settings.",
        "Test F1 is what the thesis published, on all of YouTube-8M; `yt8m report` puts your runs beside it.",
        "",
    ]
    for table, rows in groupby(catalogue().values(), lambda e: e.published.table if e.published else None):
        lines += [f"## Table {table} of the thesis" if table else "## Ours", ""]
        lines += ["| experiment | level | encoder | published test F1 |", "|---|---|---|---|"]
        for row in rows:
            score = f"{row.published.f1_test:.3f}" if row.published and row.published.f1_test is not None else ""
            lines.append(f"| `{row.name}` | {row.level} | {row.model.encoder.name} | {score} |")
        lines.append("")
    return "\n".join(lines)


def picture() -> str:
    """The pipeline as SVG: each step with the page that it writes, and where artifacts go."""
    parts = [
        _box(SHARDS, "raw shards", "YouTube-8M or yours", "data"),
        _box(SERVING, "serving/<version>", "SavedModel", "data"),
    ]
    for step, place in PLACES.items():
        traits = TRAITS[step]
        note = f"page: {PAGES[traits.page].title}" if traits.page else ""
        parts.append(_box(place, step, note, "gpu" if traits.gpu else "step"))
    parts += [_arrow(PLACES.get(a, a), PLACES.get(b, b), optional) for a, b, optional in ARROWS]
    width = 2 * MARGIN + 7 * WIDTH + 6 * GAP_X
    height = 2 * MARGIN + 3 * HEIGHT + 2 * GAP_Y
    head = (
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path class="head" d="M0 0L8 4L0 8z" marker-end="none"/></marker></defs>'
    )
    title = "<title>The steps of the pipeline and the artifacts that they hand on</title>"
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
    return "\n".join([opening, title, f"<style>{STYLE}</style>", head, *parts, "</svg>"]) + "\n"


def _corner(place: tuple[int, int]) -> tuple[int, int]:
    column, row = place
    return MARGIN + column * (WIDTH + GAP_X), MARGIN + row * (HEIGHT + GAP_Y)


def _box(place: tuple[int, int], name: str, note: str, kind: str) -> str:
    x, y = _corner(place)
    middle = x + WIDTH // 2
    name = name.replace("<", "&lt;").replace(">", "&gt;")
    title = f'<text x="{middle}" y="{y + (24 if note else 32)}">{name}</text>'
    below = f'<text class="note" x="{middle}" y="{y + 42}">{note}</text>' if note else ""
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>{title}{below}'


def _arrow(start: tuple[int, int], end: tuple[int, int], optional: bool) -> str:
    (x, y), (to_x, to_y) = _corner(start), _corner(end)
    if start[0] == end[0]:  # up or down
        x = to_x = x + WIDTH // 2
        y, to_y = (y + HEIGHT, to_y - 2) if end[1] > start[1] else (y, to_y + HEIGHT + 2)
    else:
        forward = end[0] > start[0]
        x, to_x = (x + WIDTH, to_x - 2) if forward else (x, to_x + WIDTH + 2)
        lean = (end[1] - start[1]) * HEIGHT // 3  # leaves and arrives a little above or below the middle
        y, to_y = y + HEIGHT // 2 + lean, to_y + HEIGHT // 2 - lean
    return f'<path class="{"optional" if optional else "artifact"}" d="M{x} {y}L{to_x} {to_y}"/>'


FILES = {"catalogue.md": experiments, "pipeline.svg": picture}

if __name__ == "__main__":
    for name, content in FILES.items():
        (HERE / name).write_text(content(), "utf-8")
