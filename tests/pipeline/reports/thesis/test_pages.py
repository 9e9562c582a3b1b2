"""The files of `yt8m report`: HTML, Markdown and CSV have the same content, and the page is safe to open."""

import csv
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest

from pipeline.reports.thesis import write_comparison
from pipeline.reports.thesis.comparison import Comparison, compare
from pipeline.reports.thesis.plots import plots
from pipeline.reports.thesis.runs import find_runs
from pipeline.steps import PAGES

SCRIPT = "<script>alert(1)</script>|$x$"


@dataclass(frozen=True)
class Report:
    """A comparison, and the texts of its files."""

    comparison: Comparison
    html: str
    markdown: str
    csv: str


def report_of(folder):
    """Writes the report of the runs in a folder beside it."""
    comparison = compare(find_runs([folder]))
    page = write_comparison(comparison, folder.parent / "report")
    assert page == folder.parent / "report" / "report.html"
    return Report(comparison, *(page.with_suffix(suffix).read_text("utf-8") for suffix in (".html", ".md", ".csv")))


@pytest.fixture(scope="module")
def runs(tmp_path_factory, write_run):
    """A folder of runs on four data sets; one has not finished."""
    folder = tmp_path_factory.mktemp("compared") / "runs"
    write_run(folder / "average", "average-2304-1152")
    write_run(folder / "average-1", "average-2304-1152", seed=1, f1=(0.7, 0.6, 0.6531))
    frames = {"data": "/data/frame", "videos": (900, 50, 60)}
    write_run(folder / "frame", "frame-average-2304-1152", **frames)
    write_run(folder / "gru", "gru-2x400", **frames, overrides=("training.max_epochs=2",))
    write_run(folder / "demo", "netvlad-8", data="/data/demo", synthetic=True, videos=(960, 120, 120))
    odd = {"data": 'odd,"data"', "f1": (1 / 3, 2 / 3, 0.1 + 0.2), "seconds": (7.0, 7.0)}
    write_run(folder / "odd", "lstm-1x200", **odd)
    (write_run(folder / "killed", "average-576") / "scores.json").unlink()
    return folder


@pytest.fixture(scope="module")
def report(runs):
    return report_of(runs)


def text_of(cell):
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", cell)).split())


def rows_of(html):
    body = re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL)
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.DOTALL)
    return [[text_of(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)] for row in rows]


def test_html_and_markdown_have_every_cell_of_every_table(report):
    shown = rows_of(report.html)
    lines = [line.strip("|").split(" |") for line in report.markdown.splitlines() if "|" in line]
    listed = [[cell.strip() for cell in line] for line in lines]
    for table in report.comparison.tables:
        assert table.title in report.html and f"## {table.title}" in report.markdown
        for line in table.lines:
            cells = table.cells(line)
            first = " ".join([cells[0], *line.remarks])
            assert [first, *cells[1:]] in shown
            assert any(row[: len(cells)] == cells and "; ".join(line.remarks) in row[-1] for row in listed)


def test_csv_has_a_line_for_each_run_in_full_precision(report):
    lines = {Path(line["run"]).name: line for line in csv.DictReader(report.csv.splitlines())}
    assert lines.keys() == {"average", "average-1", "frame", "gru", "demo", "odd"}
    odd = lines["odd"]
    assert [float(odd[key]) for key in ("f1_train", "f1_validation", "f1_test")] == [1 / 3, 2 / 3, 0.1 + 0.2]
    assert float(odd["f1_test_difference"]) == 0.1 + 0.2 - 0.647
    assert float(odd["minutes_per_epoch"]) == 7 / 60
    assert float(odd["videos_per_second"]) == 23_000 / 7
    assert (odd["table"], odd["row"], odd["data_pattern"], odd["synthetic"]) == ("8", "1", 'odd,"data"', "False")
    assert (lines["demo"]["f1_test_published"], lines["demo"]["synthetic"]) == ("", "True")
    assert lines["gru"]["changes"] == "shortened: training.max_epochs 2 instead of 100"
    for result in report.comparison.results:
        record = result.record()
        assert lines[Path(record["run"]).name] == {k: "" if v is None else str(v) for k, v in record.items()}


def test_unfinished_runs_and_the_kind_of_data_are_in_both_texts(report):
    for page in (report.html, report.markdown):
        assert "/killed" in page and "no scores.json" in page
        assert "a sample: 23,000 of 3,111,135 training videos (0.739" in page
        assert "synthetic data: generated" in page


def test_the_page_loads_nothing_and_has_each_id_once(report):
    html = report.html
    loading = (
        r"\bsrc\s*=|@import|url\((?!#)|<(?:script|iframe|object|embed|image)|<link (?!rel=\"icon\" href=\"data:,\")"
    )
    assert not re.search(loading, html)
    outside = {link for link in re.findall(r'href="([^"]*)"', html) if not link.startswith("#")}
    assert outside == {"data:,"}
    ids = re.findall(r' id="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    anchors = {link[1:] for link in re.findall(r'<a href="(#[^"]*)"', html)}
    assert anchors <= set(ids)


def test_content_of_a_run_is_text_and_never_markup(run):
    folder = run("a", "netvlad-8", data=SCRIPT)
    path = folder / "settings.yaml"
    path.write_text(path.read_text().replace("experiment: netvlad-8", f"experiment: '{SCRIPT}'"))
    report = report_of(folder.parent)
    assert "<script" not in report.html
    assert SCRIPT in rows_of(report.html)[1][1]
    assert SCRIPT in text_of(re.findall(r"<svg.*?</svg>", report.html, re.DOTALL)[0])
    row = next(line for line in report.markdown.splitlines() if "alert" in line)
    assert r"\<script\>alert(1)\</script\>\|$x$" in row


def test_plots_show_runs_beside_the_thesis_in_the_colour_of_the_text(report):
    shown = plots(report.comparison.results)
    assert all(plot.svg for plot in shown)
    assert len(re.findall('<svg role="img" aria-label="[^"]+"', report.html)) == len(shown) == 6
    by_title = {plot.title: text_of(str(plot.svg)) for plot in shown}
    encoders = by_title["Test F1 of the best run of each encoder"]
    for label in ("average-2304-1152, data B, seed 1", "0.653", "0.776", "gru-2x400, data C, changed"):
        assert label in encoders
    assert "netvlad-8, data D (synthetic)" in encoders
    curves = by_title["Training F1 of LSTM and GRU (thesis: figures 14 and 15)"]
    assert "gru-2x400" in curves and "average" not in curves
    assert all("currentColor" in plot.svg and "#010203" not in plot.svg for plot in shown)


def test_plots_are_readable_with_many_runs_and_with_one(unreadable, runs, write_run, tmp_path):
    plots(compare(find_runs([runs])).results)
    write_run(tmp_path / "one" / "run", "lstm-1x200", f1=(0.7, 0.6, 0.0), seconds=(3.0, 3.0))
    plots(compare(find_runs([tmp_path / "one"])).results)
    names = ["average-2304-1152", "netvlad-100-gated-6000-3000-dropout35", "dbof-4096-gated", "lstm-2x1024"]
    for number, name in enumerate(names * 6):
        data, size = f"/data/{number % 5}", 10 ** (4 + number % 4)
        level_of = {"data": data, "seed": number, "parameters": size, "synthetic": number % 5 == 1}
        write_run(tmp_path / "many" / str(number), name, seconds=(10.0**number, 1.0, 1.0), **level_of)
    plots(compare(find_runs([tmp_path / "many"])).results)
    assert not unreadable


def test_a_plot_without_data_is_left_out_with_the_reason(run):
    html = report_of(run("demo", "netvlad-8").parent).html
    assert html.count("<svg ") == 4
    assert "Left out: Average pooling of all videos (table 4) and of 30% of them (table 6). No run of a model" in html
    assert "Left out: Training F1 of LSTM and GRU" in html


def test_the_same_runs_give_the_same_files(runs, report):
    again = report_of(runs)
    assert (again.html, again.markdown, again.csv) == (report.html, report.markdown, report.csv)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "error: RUNS: 'nowhere': No such file or directory, expected a folder of runs"),
        (["runs", "--out", "file"], "error: --out is 'file': File exists, expected a folder"),
        ([], "Missing argument 'RUNS...'"),
    ],
)
def test_a_mistake_is_one_line_with_exit_code_2(run, yt8m, tmp_path, monkeypatch, arguments, message):
    run("a", "average-576")
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    answer = yt8m("report", *arguments)
    assert answer.code == 2 and "Traceback" not in answer.err
    assert message in answer.err.splitlines()[-1]


def test_the_command_writes_the_files_and_prints_the_scores_without_tfx(runs, tmp_path):
    program = (
        "import sys\nfrom pipeline.cli import yt8m\n"
        f"yt8m.main(['report', {str(runs)!r}], standalone_mode=False)\n"
        "sys.exit(str({'tfx', 'tensorflow', 'apache_beam', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr == "set()\n"
    assert done.stdout.splitlines()[-1] == "report: report/report.html"
    assert {file.name for file in (tmp_path / "report").iterdir()} == {
        PAGES["comparison"].file,
        "report.md",
        "report.csv",
    }
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["average-2304-1152", "B", "1", "0.776", "0.6531", "-0.1229"] in rows
    assert ["gru-2x400", "*", "C", "0", "0.753", "0.6405", "-0.1125"] in rows
    assert "* gru-2x400, data C: shortened: training.max_epochs 2 instead of 100" in done.stdout
    assert max(map(len, done.stdout.splitlines()[:8])) <= 80


def test_the_command_prints_json(runs, yt8m, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = yt8m("report", runs / "average", runs / "average-1", "--json", "--out", "here/there")
    content = json.loads(answer.out)
    assert [line["f1_test"] for line in content["runs"]] == [0.6405, 0.6531]
    [mean] = content["means"]
    assert mean["experiment"] == "average-2304-1152"
    assert mean["f1_test"]["mean"] == pytest.approx(0.6468)
    assert mean["f1_test"]["deviation"] == pytest.approx(0.0126 / 2**0.5)
    assert len(content["not_run"]) == 13
    assert (tmp_path / "here/there/report.csv").is_file()
