"""All pages: safe to open, nothing loaded, linked, reproducible."""

import re
import shutil
import subprocess
from html import escape

import pytest
from matplotlib.image import imread

from pipeline.steps import PAGES, TRAITS, Step, report_pages

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


def test_a_page_has_the_title_that_links_to_it_have(report):
    for name, page in report.items():
        assert page.text.startswith(f"netvlad-100-gated \N{EN DASH} {PAGES[name].title} netvlad-100-gated")
        assert f'<a href="{name}.html" aria-current="page">{PAGES[name].title}</a>' in page.html


def test_the_report_of_a_run_with_a_search_has_a_page_of_it():
    assert list(report_pages(TRAITS)) == [name for name, page in PAGES.items() if page.in_report]
    assert "tuning" not in report_pages(set(TRAITS) - {Step.TUNER})


def test_pages_link_to_each_other_and_to_nothing_else(report):
    pages = {f"{name}.html" for name in report}
    for page in report.values():
        outside = {link for link in page.links if not link.startswith("#")}
        assert outside == pages | {"data:,"}


def test_the_same_run_gives_the_same_report(reported_run, report):
    first, second = ({name: page.html for name, page in pages.items()} for pages in (report, reported_run.report()))
    assert first == second


@pytest.mark.cluster
@pytest.mark.skipif(not shutil.which("chromium"), reason="draws pages with Chromium")
@pytest.mark.parametrize("name", ["training", "evaluation", "statistics"])
def test_a_page_is_drawn_in_the_frame_of_kfps_ui(report, name, tmp_path):
    """frontend/src/components/viewers/HTMLViewer.tsx: sandboxed, 600 pixels high, from srcdoc."""
    frame = f'<iframe sandbox="allow-scripts" srcdoc="{escape(report[name].html)}" width="640" height="600"></iframe>'
    (tmp_path / "ui.html").write_text(f'<body style="margin:0;background:#f0f">{frame}')
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--window-size=700,700"]
    command += ["--virtual-time-budget=5000", f"--user-data-dir={tmp_path}/profile", f"--screenshot={tmp_path}/ui.png"]
    subprocess.run([*command, f"file://{tmp_path}/ui.html"], check=True, timeout=120, capture_output=True)
    drawn = imread(tmp_path / "ui.png")[10:590, 10:620, :3]
    letters = (drawn.min(axis=2) < 0.5).mean()
    assert 0.005 < letters < 0.3, "dark letters on a light page"
