"""The smallest finished runs, and their reports as a person and a browser read them."""

import math
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl

import components.schema
from components.dataset_statistics.counts import SplitCounts
from components.dataset_statistics.statistics import Statistics, describe
from components.drift_detector.drift import Drift
from components.evaluator.details import Details
from components.evaluator.page import evaluation_page
from components.evaluator.verdict import Interval, Slice, Verdict
from components.example_gen.ingest import Summary
from components.example_gen.synthetic import SyntheticData
from models.features import ID, LABELS, MAX_FRAMES, NUM_FRAMES, Level
from models.metrics.bootstrap import REPLICATES
from models.metrics.findings import Findings
from models.metrics.video_metrics import VideoMetrics
from models.training.log import EpochLog, TrainingLog
from pipeline.experiments import find_experiment
from pipeline.reports.run import render_page, write_report
from pipeline.reports.run.overview import overview
from pipeline.reports.scores import RunScores, Splits, SplitScores
from pipeline.settings import RunSettings, resolve_settings
from pipeline.steps import PAGES, StepRun

# Without a search.
REPORTED = tuple(name for name, page in PAGES.items() if page.in_report and name != "tuning")
SCRIPT = "<script>alert(1)</script>"
NAMES = (SCRIPT, "Cat", "Tom & Jerry")

# Label ids and numbers of frames of each video.
VIDEOS: dict[str, list[tuple[list[int], int]]] = {
    "train": [([0, 1], 120), ([1], 300), ([1, 2], 60), ([1], 131)],
    "validation": [([0], 200), ([2], 100)],
    "test": [([1], 10), ([0, 1], 400)],
}


class Page(HTMLParser):
    """A page as a person reads it, without styles, and as a browser does."""

    def __init__(self, html: str):
        super().__init__()
        self.html = html
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


@dataclass
class Run:
    """A finished run: the arguments of `write_report`."""

    settings: RunSettings
    scores: RunScores
    steps: list[StepRun]
    out: Path

    def outputs(self, name: str) -> dict[str, str]:
        return next(step for step in self.steps if step.name == name).outputs

    def change_verdict(self, **changes: Any) -> None:
        uri = self.outputs("Evaluator")["evaluation"]
        Verdict.read(uri).model_copy(update=changes).write(uri)

    def set_champion(self, version: str, **scores: float) -> None:
        uri = self.outputs("Evaluator")["evaluation"]
        verdict = Verdict.read(uri)
        changes = {name: Interval(low=-0.1, high=0.05) for name in ("f1", "gap")}
        overall = verdict.overall.model_copy(update={"champion": scores, "changes": changes})
        self.change_verdict(
            champion_version=version, slices=[overall, *verdict.slices[1:]], champion_details=verdict.details
        )

    def change_summary(self, **changes: Any) -> None:
        uri = self.outputs("DatasetStatistics")["statistics"]
        statistics = Statistics.read(uri)
        statistics.model_copy(update={"ingest": replace(statistics.ingest, **changes)}).write(uri)

    def describe_data(self, content: Any) -> None:
        """Makes the statistics those of synthetic data; `content` is that of oracle.json."""
        uri = self.outputs("DatasetStatistics")["statistics"]
        synthetic = SyntheticData.model_validate(content)
        Statistics.read(uri).model_copy(update={"synthetic": synthetic}).write(uri)

    def first_page(self) -> Page:
        """The page without plots, alone."""
        synthetic = Statistics.read(self.outputs("DatasetStatistics")["statistics"]).synthetic
        verdict = Verdict.read(self.outputs("Evaluator")["evaluation"])
        content = overview(self.settings, self.scores, verdict, self.steps, plots=[])
        links = dict.fromkeys(REPORTED, "a page")
        return Page(render_page("index", subject="", synthetic=synthetic, navigation=links, **content))

    def evaluation_page(self) -> Page:
        """The page of the Evaluator's artifact, alone."""
        verdict = Verdict.read(self.outputs("Evaluator")["evaluation"])
        return Page(evaluation_page(verdict, NAMES, subject="", synthetic=None, navigation={}))

    def report(self) -> dict[str, Page]:
        """Writes the report; returns its pages by name."""
        index = write_report(self.settings, self.scores, self.steps, self.out)
        assert index == self.out / "report" / "index.html"
        assert {file.stem for file in index.parent.iterdir()} == set(REPORTED)
        return {page: Page(index.with_stem(page).read_text("utf-8")) for page in REPORTED}


def write_tfdv_statistics(artifact: Path, anomalies: Path, level: Level) -> None:
    """Writes TFDV's statistics of VIDEOS and their anomalies where TFX's components put them."""
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


def count_videos(level: Level) -> dict[str, SplitCounts]:
    """Counts of VIDEOS, their features all 0, as ExampleGen packs them."""
    counts = {split: SplitCounts(level, len(NAMES)) for split in VIDEOS}
    for split, videos in VIDEOS.items():
        for labels, frames in videos:
            frames = min(frames, MAX_FRAMES)
            features = {"labels": tf.train.Feature(int64_list=tf.train.Int64List(value=labels))}
            for key, width in (("rgb", 1024), ("audio", 128)):
                codes, mean = np.zeros((frames, width), np.uint8), np.zeros(width)
                features[key] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[codes.tobytes()]))
                features[f"mean_{key}"] = tf.train.Feature(float_list=tf.train.FloatList(value=mean))
            example = tf.train.Example(features=tf.train.Features(feature=features))
            counts[split].add(example.SerializeToString())
    return counts


def training_log() -> TrainingLog:
    epochs = [
        EpochLog(
            epoch,
            0.5 / (epoch + 1),
            0.31 + epoch / 10,
            val_loss,
            0.41 + epoch / 10,
            1e-3 * 0.9**epoch,
            4,
            2.5,
            0.1 * epoch,
        )
        for epoch, val_loss in enumerate((0.4, 0.3, 0.35))
    ]
    return TrainingLog(1_234_567, epochs, 1, "patience", 2, (1, 17))


def verdict(level: Level) -> Verdict:
    """The verdict on a blessed model without a champion, which is sure of label 1 on two videos."""
    metrics, findings = VideoMetrics(len(NAMES), REPLICATES), Findings()
    seen = np.tile(np.array([0.1, 0.9, 0.3], np.float32), (2, 1)), np.array([[0, 1, 0], [1, 1, 0]]), [b"good", b"half"]
    metrics.update(*seen)
    findings.update(*seen)
    slices = [
        part("", "", 2, f1=0.8123, precision=0.7123, recall=0.9123, gap=0.9, hit_at_1=0.5, ece=0.01),
        part("num_labels", "1", 1, f1=0.61, precision=0.51, recall=0.71, gap=0.81),
        part("num_labels", "2", 1, f1=0.62, precision=0.52, recall=0.72, gap=0.82),
    ]
    if level == "frame":
        slices.insert(1, part(NUM_FRAMES, "001-060", 1, f1=math.nan, precision=0.53, recall=0.73, gap=0.83))
    details = Details.of(metrics, findings, threshold=0.25)
    return Verdict(blessed=True, reasons=["f1 0.8123 is at least the required 0"], slices=slices, details=details)


def part(feature: str, name: str, videos: int, **scores: float) -> Slice:
    named = scores.keys() & {"f1", "gap", "hit_at_1"}
    intervals = {score: Interval(low=scores[score] - 0.01, high=scores[score] + 0.02) for score in named}
    return Slice(feature=feature, name=name, videos=videos, scores=scores, intervals=intervals)


def finished_run(folder: Path, level: Level, experiment: str) -> Run:
    """The smallest run: its artifacts as the components write them, its settings as the command line makes them."""
    data = folder / "data"
    settings = resolve_settings(
        find_experiment(experiment),
        {"data.pattern": str(data), "data.split": "file:80/10/10", "out": str(folder / "run")},
    )
    root = settings.out / "pipeline_root"
    named = ("quarantine", "statistics", "anomalies", "model", "evaluation", "pushed_model", "data_statistics", "drift")
    uris = {name: root / name / "1" for name in named}
    write_tfdv_statistics(uris["statistics"], uris["anomalies"], level)
    for name in ("quarantine", "evaluation", "data_statistics", "drift"):
        uris[name].mkdir(parents=True)
    summary = Summary({"train": 4, "validation": 2, "test": 2}, 1321, 11)
    statistics = describe(count_videos(level), NAMES, str(data), level, None, summary, str(uris["quarantine"]))
    statistics.write(str(uris["data_statistics"]))
    Drift(version="", not_compared="no model serves yet").write(str(uris["drift"]))
    verdict(level).write(str(uris["evaluation"]))
    extra = uris["model"] / "Format-Serving" / "assets.extra"
    extra.mkdir(parents=True)
    (extra / "training_log.json").write_text(training_log().to_json())
    makes = {
        "ExampleGen": ("quarantine",),
        "StatisticsGen": ("statistics",),
        "ExampleValidator": ("anomalies",),
        "DriftDetector": ("drift",),
        "Trainer": ("model",),
        "Evaluator": ("evaluation",),
        "Pusher": ("pushed_model",),
    }
    steps = [
        StepRun(name, "done", 12.34, 2345, {output: str(uris[output]) for output in outputs})
        for name, outputs in makes.items()
    ]
    steps.insert(1, StepRun("DatasetStatistics", "done", 12.34, 2345, {"statistics": str(uris["data_statistics"])}))
    steps[-1].properties = {"pushed_model": {"pushed": 1, "pushed_version": "1700000000"}}
    source = "training log, epoch 2 of 3"
    splits = Splits(
        train=SplitScores(videos=4, f1=0.41, source=source),
        validation=SplitScores(videos=2, f1=0.51, source=source),
        test=SplitScores(videos=2, f1=0.8123, precision=0.7123, recall=0.9123, source="Evaluator"),
    )
    scores = RunScores(
        experiment=settings.experiment,
        data=settings.data.pattern,
        level=level,
        synthetic=False,
        model_version="1700000000",
        blessed=True,
        splits=splits,
    )
    return Run(settings, scores, steps, settings.out)


@pytest.fixture
def frame_run(tmp_path: Path) -> Run:
    """A frame-level run to change."""
    return finished_run(tmp_path, "frame", "netvlad-100-gated")


@pytest.fixture(scope="session")
def reported_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A frame-level run whose report is `report`, not to be changed: the 14 plots of a report take over a second."""
    return finished_run(tmp_path_factory.mktemp("run"), "frame", "netvlad-100-gated")


@pytest.fixture(scope="session")
def report(reported_run: Run) -> dict[str, Page]:
    """The pages of a frame-level run."""
    return reported_run.report()


@pytest.fixture(scope="session")
def synthetic_video_report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """The pages of a video-level run on synthetic data."""
    run = finished_run(tmp_path_factory.mktemp("run"), "video", "average-2304-1152")
    run.describe_data({"synthetic": True, "oracle": {"micro_f1": 0.93214, "videos": 1200}})
    return run.report()
