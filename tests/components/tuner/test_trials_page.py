"""The tuning page as it is read, and the trials as TensorBoard reads them."""

import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from components.example_gen.synthetic import SyntheticData
from components.tuner.hparams import write_hparams
from components.tuner.page import Scale, trials_page
from tuner.trials import SearchResult, TrialResult

SCRIPT = "<script>alert(1)</script>"


class Page(HTMLParser):
    """The words, table rows, links and tags of a page, and the alt texts of its plots."""

    def __init__(self, html: str):
        super().__init__()
        self.html, self.plots = html, re.findall(r"<svg .*?</svg>", html, re.DOTALL)
        self.words: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.rows: list[list[str]] = []
        self.alt_text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for key, value in attrs if key in ("src", "href", "xlink:href", "action", "data")]
        self.alt_text += [value or "" for key, value in attrs if key == "aria-label"]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "style":
            return
        self.words += data.split()
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] = " ".join([*self.rows[-1][-1].split(), *data.split()])

    @property
    def text(self) -> str:
        return re.sub(r" ([,.])", r"\1", " ".join(self.words))


def scored(name: str, gap: float, **values: Any) -> TrialResult:
    values = {"model.encoder.clusters": 64, "model.hidden_units": [2304, 1152], "model.context_gating": True} | {
        key.replace("__", "."): value for key, value in values.items()
    }
    scores = {"val_gap": gap, "val_f1": gap - 0.1, "val_loss": 2 - gap}
    return TrialResult(
        id=name,
        status="COMPLETED",
        values=values,
        scores=scores,
        reason="",
        epochs=3,
        stopped_by="max_epochs",
        seconds=1500.4,
        parameters=1_234_567,
    )


def failed(name: str, reason: str) -> TrialResult:
    nothing = {"scores": {}, "epochs": 0, "stopped_by": "", "seconds": 0.0, "parameters": 0}
    return scored(name, 0).model_copy(update={"status": "FAILED", "reason": reason, **nothing})


def search(*trials: TrialResult, objective: str = "val_gap") -> SearchResult:
    return SearchResult(objective=objective, oracle="bayesian", trials=trials)


def page_of(*trials: TrialResult, objective: str = "val_gap") -> Page:
    return Page(trials_page(search(*trials, objective=objective), "netvlad", None, {}))


def test_the_page_names_the_search_and_the_winner():
    page = page_of(scored("0", 0.7), scored("1", 0.8, model__dropout=0.15000000000000002), failed("2", "no memory"))
    assert page.text.startswith("netvlad \N{EN DASH} Search netvlad Search")
    assert (
        "Bayesian optimization for the highest GAP@20 of the validation split: 2 of 3 trials scored, 1 failed, "
        "50 min of training. The best, trial 1, reached 0.8000 with model.encoder.clusters=64, "
        "model.hidden_units=[2304, 1152], model.context_gating=true, model.dropout=0.15."
    ) in page.text


@pytest.mark.parametrize(("seconds", "expected"), [(41.2, "41 s"), (1799, "30 min"), (7260, "2 h 1 min")])
def test_the_time_of_training_is_in_hours_and_minutes(seconds, expected):
    page = page_of(scored("0", 0.7).model_copy(update={"seconds": seconds}))
    assert f"0 failed, {expected} of training." in page.text


def test_the_table_has_the_best_trial_first_and_the_failed_last_with_their_reasons():
    page = page_of(failed("0", "OOM when allocating"), scored("1", 0.7), scored("2", 0.8, model__encoder__clusters=16))
    names, values = ["hidden_units", "context_gating"], ["[2304, 1152]", "true"]
    assert page.rows == [
        ["trial", "clusters", *names, "GAP@20", "F1", "loss", "epochs", "stopped by", "seconds", "parameters"],
        ["2", "16", *values, "0.8000", "0.7000", "1.2000", "3", "max epochs", "1,500", "1,234,567"],
        ["1", "64", *values, "0.7000", "0.6000", "1.3000", "3", "max epochs", "1,500", "1,234,567"],
        ["0", "64", *values, "failed OOM when allocating"],
    ]
    assert re.findall(r'<tr class="best"><th>(\w+)', page.html) == ["2"]


def test_the_objective_is_the_first_score_and_a_low_loss_the_best():
    page = page_of(scored("0", 0.7), scored("1", 0.8), objective="val_loss")
    assert page.rows[0][4:7] == ["loss", "GAP@20", "F1"]
    assert [row[0] for row in page.rows[1:]] == ["1", "0"]
    assert "for the lowest loss of the validation split" in page.text


def test_parameters_with_the_same_last_part_keep_their_whole_key():
    page = page_of(scored("0", 0.7, model__dropout=0.1, model__encoder__dropout=0.2))
    assert page.rows[0][4:6] == ["model.dropout", "model.encoder.dropout"]


def test_a_parameter_has_an_axis_and_a_plot_with_a_point_for_each_trial():
    page = page_of(scored("0", 0.7), scored("1", 0.8), scored("2", 0.75))
    lines, *plots = page.plots
    assert all(f">{name}</text>" in lines for name in ("clusters", "hidden_units", "context_gating", "GAP@20"))
    assert [alt_text.partition(";")[0] for alt_text in page.alt_text[1:]] == [
        f"GAP@20 by {name}" for name in ("clusters", "hidden_units", "context_gating")
    ]
    assert all("the best: GAP@20 0.8000 with model.encoder.clusters 64" in alt_text for alt_text in page.alt_text)
    # One more trial is one more point; the marks of the axes stay.
    more = page_of(scored("0", 0.7), scored("1", 0.8), scored("2", 0.75), scored("3", 0.72))
    assert [points(plot) - points(less) for plot, less in zip(more.plots, page.plots, strict=True)] == [4, 1, 1, 1]
    assert len(plots) == 3


def test_the_best_trial_is_drawn_last_and_boldest():
    lines = page_of(scored("0", 0.7), scored("1", 0.8), scored("2", 0.75)).plots[0]
    assert re.findall(r"stroke-width: (2\.5|1\.1)", lines) == ["1.1", "1.1", "2.5"]


def test_a_trial_without_a_conditional_parameter_has_no_point_on_its_axis():
    others = scored("0", 0.7, units=8), scored("1", 0.8, units=16)
    all_have = page_of(*others, scored("2", 0.75, units=8))
    one_lacks = page_of(*others, scored("2", 0.75))
    less = [points(plot) - points(other) for plot, other in zip(all_have.plots, one_lacks.plots, strict=True)]
    assert less == [1, 0, 0, 0, 1]
    assert [row[4] for row in one_lacks.rows[1:]] == ["16", "\N{EN DASH}", "8"]


def points(plot: str) -> int:
    return plot.count("<use ")


@pytest.mark.parametrize(
    ("values", "places", "labels"),
    [
        ([1e-4, 1e-2, 0.1], [0, 2 / 3, 1], ["0.0001", "0.01", "0.1"]),  # more than two orders of magnitude
        ([16, 32, 48], [0, 0.5, 1], ["16", "32", "48"]),
        ([0.0, 1000.0], [0, 1], ["0", "1000"]),  # 0 has no logarithm
        ([7], [0.5], ["7"]),
        ([True, False], [1, 0], ["false", "true"]),
        (["max", "mean", "attention"], [0.5, 1, 0], ["attention", "max", "mean"]),
        ([[2304, 1152], [], [512]], [1, 0, 0.5], ["[]", "[512]", "[2304, 1152]"]),
        ([["a"], [1], 2], [0.5, 1, 0], ["2", '["a"]', "[1]"]),  # values without an order
    ],
)
def test_a_scale_places_numbers_by_size_and_other_values_evenly(values, places, labels):
    scale = Scale(values)
    assert [scale.place(value) for value in values] == pytest.approx(places)
    assert list(scale.ticks.values()) == labels


@pytest.mark.parametrize("values", [[value / 7 for value in range(40)], [10 ** (value / 9) for value in range(40)]])
def test_ticks_of_many_numbers_are_few_and_lie_on_the_axis(values):
    ticks = list(Scale(values).ticks)
    assert 3 <= len(ticks) <= 8
    assert ticks == sorted(ticks)
    assert all(0 <= tick <= 1 for tick in ticks)


def test_a_nan_score_is_listed_and_not_drawn():
    page = page_of(scored("0", 0.8), scored("1", math.nan))
    assert ["1", "nan"] in [[row[0], row[4]] for row in page.rows]
    drawn = page_of(scored("0", 0.8))
    assert [points(plot) for plot in page.plots] == [points(plot) for plot in drawn.plots]
    assert not page_of(scored("0", math.nan)).plots


@pytest.mark.parametrize("count", [0, 11, 59])
@pytest.mark.parametrize("make", [failed, scored])
def test_a_page_has_a_row_for_each_of_one_or_of_sixty_trials(count, make):
    others = [make(f"{number}", "no memory" if make is failed else 0.5) for number in range(count)]
    page = page_of(*others, scored("best", 0.8))
    assert [row[0] for row in page.rows[1:]] == ["best", *(trial.id for trial in others)]
    assert len(page.plots) == 4


def test_values_and_reasons_are_text_and_never_markup():
    trial = scored("0", 0.8, model__encoder__name=SCRIPT, **{SCRIPT: [SCRIPT]})
    page = Page(trials_page(search(trial, failed("1", SCRIPT)), SCRIPT, None, {}))
    assert "script" not in page.tags
    assert page.rows[2][-1] == f"failed {SCRIPT}"
    assert SCRIPT in page.rows[1]
    assert f'["{SCRIPT}"]' in page.rows[1]


def test_the_page_loads_nothing_and_ids_are_unique():
    page = Page(trials_page(search(scored("0", 0.7), scored("1", 0.8)), "netvlad", None, {"index": "Overview"}))
    assert {link for link in page.links if not link.startswith("#")} == {"data:,", "index.html"}
    ids = re.findall(r'\bid="([^"]*)"', page.html)
    assert len(ids) == len(set(ids))
    assert "nan" not in "".join(page.plots)


def test_the_page_is_the_same_in_every_run():
    assert page_of(scored("0", 0.7), scored("1", 0.8)).html == page_of(scored("0", 0.7), scored("1", 0.8)).html


def test_the_page_names_subject_and_synthetic_data_and_links_to_the_others():
    synthetic, navigation = SyntheticData(synthetic=True), {"index": "Overview", "trials": "Search"}
    page = Page(trials_page(search(scored("0", 0.8)), "netvlad-100", synthetic, navigation, "trials"))
    assert "netvlad-100 Search Overview Search Synthetic data." in page.text
    assert '<a href="trials.html" aria-current="page">' in page.html


def sessions(log_dir: Path) -> dict[str, tuple[dict[str, Any], dict[str, float]]]:
    """Values and scores by session, as TensorBoard reads them."""
    by_trial = {}
    for folder in log_dir.iterdir():
        events = EventAccumulator(str(folder)).Reload()
        content = events.PluginTagToContent(metadata.PLUGIN_NAME)[metadata.SESSION_START_INFO_TAG]
        start = metadata.parse_session_start_info_plugin_data(content)
        assert start.group_name == folder.name
        values = {key: getattr(value, value.WhichOneof("kind")) for key, value in start.hparams.items()}
        tags = set(events.Tags()["tensors"]) - {metadata.SESSION_START_INFO_TAG}
        scores = {}
        for tag in tags:
            (event,) = events.Tensors(tag)
            scores[tag] = float(tf.make_ndarray(event.tensor_proto))
        by_trial[folder.name] = values, scores
    return by_trial


def test_tensorboard_has_a_session_for_each_trial(tmp_path):
    write_hparams(search(scored("0", 0.75, training__learning_rate=0.001), failed("1", "no memory")), tmp_path)
    values = {"model.encoder.clusters": 64, "model.hidden_units": "[2304, 1152]", "model.context_gating": True}
    written = sessions(tmp_path)
    assert written["0"][0] == values | {"training.learning_rate": 0.001}
    assert written["0"][1] == pytest.approx({"val_gap": 0.75, "val_f1": 0.65, "val_loss": 1.25})
    assert written["1"] == (values, {})


def test_a_second_call_replaces_its_sessions_and_keeps_other_events(tmp_path):
    write_hparams(search(scored("0", 0.75), scored("1", 0.5)), tmp_path)
    other = tmp_path / "0" / "events.out.tfevents.1.other"
    other.touch()
    write_hparams(search(scored("0", 0.8), scored("1", 0.5)), tmp_path)
    assert other.exists()
    written = sessions(tmp_path)
    assert written.keys() == {"0", "1"}
    assert written["0"][1]["val_gap"] == pytest.approx(0.8)
    assert len(list(tmp_path.rglob("*.hparams"))) == 2
