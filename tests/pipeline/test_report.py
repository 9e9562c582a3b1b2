"""The report's pages: every number where a reader looks for it, safe to open, nothing loaded, optional parts absent."""

import json
import math
import re
from dataclasses import asdict, dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import statistics_pb2

import components.schema
from components.evaluator.verdict import Slice, Verdict
from components.example_gen.ingest import Summary
from components.example_gen.splits import SPLITS
from models.features import ID, LABELS, NUM_FRAMES, Level
from models.training_log import EpochLog, TrainingLog
from pipeline.anomalies import describe_anomalies
from pipeline.experiments import find_experiment
from pipeline.local_runner import Step
from pipeline.report import write_report
from pipeline.settings import RunSettings, resolve_settings

PAGES = ("index", "statistics", "anomalies", "training", "evaluation")
SCRIPT = "<script>alert(1)</script>"
NAMES = (SCRIPT, "Cat", "Tom & Jerry")

# Label ids and numbers of frames of each video.
VIDEOS: dict[str, list[tuple[list[int], int]]] = {
    "train": [([0, 1], 120), ([1], 300), ([1, 2], 60), ([1], 131)],
    "validation": [([0], 200), ([2], 100)],
    "test": [([1], 10), ([0, 1], 400)],
}


@dataclass
class Run:
    """A finished run: what `write_report` is given."""

    settings: RunSettings
    scores: dict[str, Any]
    steps: list[Step]
    out: Path

    def outputs(self, name: str) -> dict[str, str]:
        return next(step for step in self.steps if step.name == name).outputs

    def report(self) -> dict[str, str]:
        """Writes the report; gives the HTML of its pages by name."""
        index = write_report(self.settings, self.scores, self.steps, self.out, NAMES)
        assert index == self.out / "report" / "index.html"
        assert {file.stem for file in index.parent.iterdir()} == set(PAGES)
        return {page: index.with_stem(page).read_text("utf-8") for page in PAGES}


class Reader(HTMLParser):
    """What a person reads on a page (without styles), and what a browser sees."""

    def __init__(self, html: str):
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.cells: list[list[str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for key, value in attrs if key in ("src", "href", "xlink:href", "action", "data")]
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            self.cells.append([])

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "style":
            return
        self.words += data.split()
        if self.cells and self.cells[-1]:
            self.cells[-1][-1] = " ".join([*self.cells[-1][-1].split(), *data.split()])

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def rows(self) -> list[list[str]]:
        """Cells of all table rows."""
        return [row for row in self.cells if row]


def write_statistics(artifact: Path, anomalies: Path, level: Level) -> None:
    """TFDV's statistics of VIDEOS and what it finds in them, where TFX's components put them."""
    schema = tfdv.load_schema_text(str(Path(components.schema.__file__).with_name(f"{level}.pbtxt")))
    options = tfdv.StatsOptions(schema=schema)
    for split, videos in VIDEOS.items():
        columns = {
            ID: pa.array([[f"{split}{number}".encode()] for number in range(len(videos))]),
            LABELS: pa.array([labels for labels, _ in videos], pa.list_(pa.int64())),
        }
        if level == "frame":
            columns[NUM_FRAMES] = pa.array([[frames] for _, frames in videos], pa.list_(pa.int64()))
        batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
        statistics = stats_impl.generate_statistics_in_memory(batch, options)
        for file, content in (
            (artifact / f"Split-{split}" / "FeatureStats.pb", statistics),
            (anomalies / f"Split-{split}" / "SchemaDiff.pb", tfdv.validate_statistics(statistics, schema)),
        ):
            file.parent.mkdir(parents=True)
            file.write_bytes(content.SerializeToString())


def training_log() -> TrainingLog:
    epochs = [
        EpochLog(epoch, 0.5 / (epoch + 1), 0.31 + epoch / 10, val_loss, 0.41 + epoch / 10, 1e-3 * 0.9**epoch, 4, 2.5)
        for epoch, val_loss in enumerate((0.4, 0.3, 0.35))
    ]
    return TrainingLog(1_234_567, epochs, 1, True, 2, (1, 17))


def finished_run(folder: Path, level: Level, experiment: str) -> Run:
    """The smallest run: its artifacts as the components write them, its settings as the command line makes them."""
    data = folder / "data"
    data.mkdir()
    (data / "train0000.tfrecord").touch()
    settings = resolve_settings(
        find_experiment(experiment),
        {"data.pattern": str(data), "data.split": "file:80/10/10", "out": str(folder / "run")},
    )
    root = settings.out / "pipeline_root"
    uris = {
        name: root / name / "1"
        for name in ("quarantine", "statistics", "anomalies", "model", "evaluation", "pushed_model")
    }
    write_statistics(uris["statistics"], uris["anomalies"], level)
    for name in ("quarantine", "evaluation"):
        uris[name].mkdir(parents=True)
    summary = Summary({"train": 4, "validation": 2, "test": 2}, 1321, 11)
    (uris["quarantine"] / "summary.json").write_text(json.dumps(asdict(summary)))
    slices = [
        Slice("", "", 2, {"f1": 0.8123, "precision": 0.7123, "recall": 0.9123}),
        Slice("num_labels", "1", 1, {"f1": 0.61, "precision": 0.51, "recall": 0.71}),
        Slice("num_labels", "2", 1, {"f1": 0.62, "precision": 0.52, "recall": 0.72}),
    ]
    if level == "frame":
        slices.append(Slice(NUM_FRAMES, "001-060", 1, {"f1": math.nan, "precision": 0.53, "recall": 0.73}))
    Verdict(True, ["f1 0.8123 is at least the required 0"], slices).write(str(uris["evaluation"]))
    extra = uris["model"] / "Format-Serving" / "assets.extra"
    extra.mkdir(parents=True)
    (extra / "training_log.json").write_text(training_log().to_json())
    makes = {
        "ExampleGen": ("quarantine",),
        "StatisticsGen": ("statistics",),
        "ExampleValidator": ("anomalies",),
        "Trainer": ("model",),
        "Evaluator": ("evaluation",),
        "Pusher": ("pushed_model",),
    }
    steps = [
        Step(name, "done", 12.34, 2345, {output: str(uris[output]) for output in outputs})
        for name, outputs in makes.items()
    ]
    steps[-1].properties = {"pushed_model": {"pushed": 1, "pushed_version": "1700000000"}}
    source = "training log, epoch 2 of 3"
    scores = {
        "experiment": settings.experiment,
        "data": settings.data.pattern,
        "level": level,
        "model_version": "1700000000",
        "blessed": True,
        "splits": {
            "train": {"videos": 4, "f1": 0.41, "source": source},
            "validation": {"videos": 2, "f1": 0.51, "source": source},
            "test": {"videos": 2, "f1": 0.8123, "precision": 0.7123, "recall": 0.9123, "source": "Evaluator"},
        },
    }
    return Run(settings, scores, steps, settings.out)


@pytest.fixture
def frame_run(tmp_path: Path) -> Run:
    return finished_run(tmp_path, "frame", "netvlad-100-gated")


@pytest.fixture
def video_run(tmp_path: Path) -> Run:
    return finished_run(tmp_path, "video", "average-2304-1152")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pages of the run above, for tests that change nothing."""
    return finished_run(tmp_path_factory.mktemp("run"), "frame", "netvlad-100-gated").report()


def with_verdict(run: Run, **changes: Any) -> None:
    uri = run.outputs("Evaluator")["evaluation"]
    Verdict(**vars(Verdict.read(uri)) | changes).write(uri)


def with_summary(run: Run, **changes: Any) -> None:
    uri = run.outputs("ExampleGen")["quarantine"]
    path = Path(uri) / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_first_page_names_the_run_and_shows_every_score_with_its_source(frame_run: Run) -> None:
    page = Reader(frame_run.report()["index"])
    assert page.text.startswith("netvlad-100-gated")
    assert f"Data {frame_run.settings.data.pattern} Level frame" in page.text
    assert page.rows[0] == ["split", "videos", "F1", "precision", "recall", "thesis F1"]
    assert page.rows[1:4] == [
        ["train training log, epoch 2 of 3", "4", "0.4100", "", "", "0.824"],
        ["validation training log, epoch 2 of 3", "2", "0.5100", "", "", ""],
        ["test Evaluator", "2", "0.8123", "0.7123", "0.9123", "0.767"],
    ]
    assert ["StatisticsGen", "done", "12.3", "2,345"] in page.rows
    assert "full data set of the thesis, ours on 4 training and 2 test videos" in page.text
    assert "Blessed f1 0.8123 is at least the required 0" in page.text
    assert "Not blessed" not in page.text


def test_an_experiment_that_the_thesis_does_not_have_is_not_compared_with_it(frame_run: Run) -> None:
    frame_run.settings = frame_run.settings.model_copy(update={"published": None})
    page = Reader(frame_run.report()["index"])
    assert page.rows[0] == ["split", "videos", "F1", "precision", "recall"]
    assert page.rows[3] == ["test Evaluator", "2", "0.8123", "0.7123", "0.9123"]
    assert "thesis" not in page.text


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"pushed": 1, "pushed_version": "17"}, "Model pushed as version 17 Serving"),
        ({"pushed": 0}, "Model nothing pushed Serving"),
        ({"pushed": 0, "pushed_version": "17"}, "nothing pushed: version 17 that serves is this model"),
    ],
)
def test_the_first_page_says_what_was_pushed(frame_run: Run, properties: dict[str, Any], expected: str) -> None:
    frame_run.steps[-1].properties = {"pushed_model": properties}
    assert expected in Reader(frame_run.report()["index"]).text


def test_a_model_that_is_not_blessed_is_shown_with_the_reasons(frame_run: Run) -> None:
    reasons = ["f1 0.8123 is below the required 0.9", "no other model serves yet, so there is none to compare with"]
    with_verdict(frame_run, blessed=False, reasons=reasons)
    frame_run.scores |= {"blessed": False, "model_version": None}
    pages = frame_run.report()
    for page in ("index", "evaluation"):
        assert f"Not blessed {' '.join(reasons)}" in Reader(pages[page]).text
    assert "Serving nothing yet" in Reader(pages["index"]).text


@pytest.mark.parametrize("oracle", [{"micro_f1": 0.93214, "videos": 1200}, None])
def test_every_page_says_that_the_data_are_synthetic(frame_run: Run, oracle: dict[str, Any] | None) -> None:
    described = {"synthetic": True} | ({"oracle": oracle} if oracle else {})
    (Path(frame_run.settings.data.pattern) / "oracle.json").write_text(json.dumps(described))
    for html in frame_run.report().values():
        text = Reader(html).text
        assert "Synthetic data." in text
        assert ("micro F1 of 0.9321 on all 1,200 of them" in text) == (oracle is not None)


@pytest.mark.parametrize("content", [None, '{"synthetic": false}', "not JSON", "[1]"])
def test_real_data_are_not_called_synthetic(frame_run: Run, content: str | None) -> None:
    if content:
        (Path(frame_run.settings.data.pattern) / "oracle.json").write_text(content)
    assert all("Synthetic" not in Reader(html).text for html in frame_run.report().values())


def test_the_data_page_counts_videos_labels_and_frames_of_each_split(report: dict[str, str]) -> None:
    page = Reader(report["statistics"])
    assert page.rows[1:4] == [
        ["train", "4", "1.50", "3", "60", "152.8", "300"],
        ["validation", "2", "1.00", "2", "100", "150.0", "200"],
        ["test", "2", "1.50", "2", "10", "205.0", "400"],
    ]
    train = page.rows[5:8]
    assert train[0] == ["Cat", "4", "100.0%"]
    assert sorted(train[1:]) == [[SCRIPT, "1", "25.0%"], ["Tom & Jerry", "1", "25.0%"]]


def test_the_data_page_of_video_level_data_has_no_frames(video_run: Run) -> None:
    page = Reader(video_run.report()["statistics"])
    assert page.rows[0] == ["split", "videos", "labels a video", "distinct labels (of 3)"]
    assert page.rows[1] == ["train", "4", "1.50", "3"]


def test_the_data_page_tells_what_the_ingest_refused_and_mended(frame_run: Run) -> None:
    with_summary(
        frame_run,
        videos={"train": 4000, "validation": 2, "test": 2},
        quarantined=7,
        first_quarantined=["/data/<b>.tfrecord, record 3: rgb has 1000 bytes a frame, expected 1024"],
        cut_to_max_frames=31,
        repeated_labels=41,
        duplicates={"test and train": 51, "within test": 61},
    )
    text = Reader(frame_run.report()["statistics"]).text
    for expected in (
        "Videos, train 4,000",
        "Quarantined 7 of 4,011 records",
        "/data/<b>.tfrecord, record 3: rgb has 1000 bytes a frame, expected 1024",
        f"all of them are in {frame_run.outputs('ExampleGen')['quarantine']}",
        "Cut to 300 frames 31 videos",
        "Label listed twice 41 videos, kept once",
        "Ids that repeat 51 test and train, 61 within test",
    ):
        assert expected in text


def test_anomalies_are_told_in_words_by_split(frame_run: Run) -> None:
    line = "test: num_frames: Out-of-range values: Unexpectedly large value: 400."
    assert describe_anomalies(frame_run.outputs("ExampleValidator")["anomalies"]) == [line]
    text = Reader(frame_run.report()["anomalies"]).text
    assert "train none found validation none found test num_frames : Out-of-range values. Unexpectedly large" in text


def test_every_reason_of_an_anomaly_has_a_line(tmp_path: Path) -> None:
    schema = tfdv.load_schema_text(str(Path(components.schema.__file__).with_name("frame.pbtxt")))
    columns = [
        pa.array([[b"a"], [b"b"]]),
        pa.array([[1], [2]], pa.list_(pa.int64())),
        pa.array([[3, 4], None], pa.list_(pa.int64())),
    ]
    batch = pa.RecordBatch.from_arrays(columns, [ID, LABELS, NUM_FRAMES])
    statistics = stats_impl.generate_statistics_in_memory(batch, tfdv.StatsOptions(schema=schema))
    anomalies = tfdv.validate_statistics(statistics, schema)
    for split in SPLITS:
        (tmp_path / f"Split-{split}").mkdir()
        (tmp_path / f"Split-{split}" / "SchemaDiff.pb").write_bytes(
            anomalies.SerializeToString() if split == "validation" else b""
        )
    first, second = describe_anomalies(str(tmp_path))
    assert first == "validation: num_frames: Superfluous values: Some examples have more values than expected."
    assert second.startswith("validation: num_frames: Column dropped: ")


def test_a_split_that_is_too_small_or_empty_is_an_anomaly(tmp_path: Path) -> None:
    schema = tfdv.load_schema_text(str(Path(components.schema.__file__).with_name("frame.pbtxt")))
    for feature in schema.feature:
        feature.presence.Clear()
    schema.dataset_constraints.min_examples_count = 5
    for split, videos in (("train", 5), ("validation", 3), ("test", 0)):
        statistics = statistics_pb2.DatasetFeatureStatisticsList()
        statistics.datasets.add(num_examples=videos)
        (tmp_path / f"Split-{split}").mkdir()
        found = tfdv.validate_statistics(statistics, schema)
        (tmp_path / f"Split-{split}" / "SchemaDiff.pb").write_bytes(found.SerializeToString())
    assert describe_anomalies(str(tmp_path)) == [
        "validation: Low num examples in dataset: The dataset has 3 examples, which is fewer than expected.",
        "test: No data: the statistics hold no videos",
    ]


def test_video_level_data_without_anomalies_say_so_for_every_split(video_run: Run) -> None:
    assert describe_anomalies(video_run.outputs("ExampleValidator")["anomalies"]) == []
    assert Reader(video_run.report()["anomalies"]).text.count("none found") == len(SPLITS)


def test_the_training_page_shows_every_epoch_and_marks_the_best(report: dict[str, str]) -> None:
    html = report["training"]
    page = Reader(html)
    assert page.rows[1:] == [
        ["1", "0.50000", "0.3100", "0.40000", "0.4100", "1.00e-03", "4", "2.5"],
        ["2", "0.25000", "0.4100", "0.30000", "0.5100", "9.00e-04", "4", "2.5"],
        ["3", "0.16667", "0.5100", "0.35000", "0.6100", "8.10e-04", "4", "2.5"],
    ]
    [marked] = re.findall(r'<tr class="best"><th class="number">(\d+)', html)
    assert marked == "2"
    for expected in (
        "Parameters 1,234,567",
        "Best epoch 2 of 3",
        "early",
        "in epoch 2, after 17 of its steps",
        "7.5 s",
    ):
        assert expected in page.text


def test_the_training_page_has_four_curves_with_the_best_epoch_in_the_colour_of_the_text(
    report: dict[str, str],
) -> None:
    html = report["training"]
    plots = re.findall(r'<svg role="img" aria-label="([^"]*)"(.*?)</svg>', html, re.DOTALL)
    assert [label for label, _ in plots] == [
        "Loss by epoch",
        "F1 by epoch",
        "Learning rate by epoch",
        "Seconds by epoch",
    ]
    for _, svg in plots:
        assert "best epoch (2)" in svg
        assert "currentColor" in svg
    ids = re.findall(r' id="([^"]*)"', html)
    assert len(ids) == len(set(ids))


def test_the_evaluation_page_shows_scores_and_slices(report: dict[str, str]) -> None:
    html = report["evaluation"]
    page = Reader(html)
    assert page.rows[:4] == [["score", "this model"], ["F1", "0.8123"], ["precision", "0.7123"], ["recall", "0.9123"]]
    assert page.rows[5] == ["001-060", "nan", "0.5300", "0.7300", "1"]
    assert page.rows[7:] == [["1", "0.6100", "0.5100", "0.7100", "1"], ["2", "0.6200", "0.5200", "0.7200", "1"]]
    assert re.findall(r'<i style="width: ([\d.]+)%">', html) == ["0.0", "61.0", "62.0"]
    assert "champion" not in page.text


def test_the_evaluation_page_of_video_level_data_has_no_slices_by_frames(video_run: Run) -> None:
    text = Reader(video_run.report()["evaluation"]).text
    assert "By number of labels" in text
    assert "By number of frames" not in text


def test_the_evaluation_page_compares_with_the_champion(frame_run: Run) -> None:
    with_verdict(frame_run, champion_version="16", champion={"f1": 0.9, "precision": 0.7, "recall": 0.9123})
    page = Reader(frame_run.report()["evaluation"])
    assert page.rows[:4] == [
        ["score", "this model", "champion (version 16)", "change"],
        ["F1", "0.8123", "0.9000", "-0.0877"],
        ["precision", "0.7123", "0.7000", "+0.0123"],
        ["recall", "0.9123", "0.9123", "+0.0000"],
    ]


def test_names_reasons_and_paths_are_text_and_never_markup(frame_run: Run) -> None:
    with_summary(frame_run, quarantined=1, first_quarantined=[SCRIPT])
    with_verdict(frame_run, reasons=[SCRIPT], champion_version=SCRIPT, champion={"f1": 0, "precision": 0, "recall": 0})
    frame_run.scores |= {"data": SCRIPT, "model_version": SCRIPT}
    frame_run.scores["splits"]["test"]["source"] = SCRIPT
    frame_run.settings = frame_run.settings.model_copy(update={"experiment": SCRIPT})
    frame_run.steps[-1].properties["pushed_model"]["pushed_version"] = SCRIPT
    for html in frame_run.report().values():
        page = Reader(html)
        assert SCRIPT in page.text
        assert "script" not in page.tags


@pytest.mark.parametrize("pattern", [r"\bsrc\s*=", r"@import", r"url\((?!#)", r"<(?:script|iframe|object|embed)"])
def test_no_page_loads_anything(report: dict[str, str], pattern: str) -> None:
    for html in report.values():
        assert not re.search(pattern, html)
        for link in Reader(html).links:
            assert link in {*(f"{page}.html" for page in PAGES), "data:,"} or link.startswith("#")


def test_the_pages_link_to_each_other(report: dict[str, str]) -> None:
    for html in report.values():
        assert {f"{page}.html" for page in PAGES} <= set(Reader(html).links)


def test_the_same_run_gives_the_same_report(frame_run: Run) -> None:
    assert frame_run.report() == frame_run.report()
