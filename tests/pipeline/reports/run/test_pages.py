"""All pages: safe to open, nothing loaded, linked, reproducible."""

import re

import pytest

SCRIPT = "<script>alert(1)</script>"


def test_names_reasons_and_paths_are_text_and_never_markup(frame_run):
    frame_run.change_summary(quarantined=1, first_quarantined=[SCRIPT])
    frame_run.set_champion(SCRIPT, f1=0, precision=0, recall=0)
    frame_run.change_verdict(reasons=[SCRIPT])
    splits = frame_run.scores.splits
    splits = splits.model_copy(update={"test": splits.test.model_copy(update={"source": SCRIPT})})
    frame_run.scores = frame_run.scores.model_copy(update={"data": SCRIPT, "model_version": SCRIPT, "splits": splits})
    frame_run.settings = frame_run.settings.model_copy(update={"experiment": SCRIPT})
    frame_run.steps[-1].properties["pushed_model"]["pushed_version"] = SCRIPT
    for page in frame_run.report().values():
        assert SCRIPT in page.text
        assert "script" not in page.tags


@pytest.mark.parametrize("loading", [r"\bsrc\s*=", r"@import", r"url\((?!#)", r"<(?:script|iframe|object|embed)"])
def test_no_page_loads_anything(report, loading):
    for page in report.values():
        assert not re.search(loading, page.html)


def test_pages_link_to_each_other_and_to_nothing_else(report):
    pages = {f"{name}.html" for name in report}
    for page in report.values():
        outside = {link for link in page.links if not link.startswith("#")}
        assert outside == pages | {"data:,"}


def test_the_same_run_gives_the_same_report(reported_run, report):
    first, second = ({name: page.html for name, page in pages.items()} for pages in (report, reported_run.report()))
    assert first == second
