"""All Beam steps on an engine, against the same run in this process."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

pytestmark = pytest.mark.engine

# Written by Beam steps, with the same bytes on every runner (but for the name of the run folder, of which pages and
# settings speak): splits, their index, what was rejected, soft targets, what Transform stores, the verdict.
SAME_BYTES = re.compile(
    r"(ExampleGen|TeacherPredictions)/.*|Transform/transformed_examples/.*|Evaluator/(evaluation/verdict|blessing).*"
)


@pytest.fixture(scope="module")
def runs(engine, finished_run, frames, yt8m, tmp_path_factory):
    """The folders of a run in this process and of one on the engine, both with a teacher."""
    folder = tmp_path_factory.mktemp("runs")
    teacher = ["--set", f"training.teachers=[{finished_run.folder / 'serving'}]"]
    for name, runner in {"here": [], "engine": engine.settings()}.items():
        data = ["--data", frames, "--experiment", "netvlad-8", "--out", folder / name]
        done = yt8m("run", *data, *finished_run.arguments, *teacher, *runner)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "  preflight: workers on " in done.stdout
    return folder / "here", folder / "engine"


def files(run: Path) -> dict[str, bytes]:
    """Contents of the artifacts by path without executions' numbers, with RUN for the run folder."""
    root = run / "pipeline_root"
    paths = [path for path in root.rglob("*") if path.is_file() and ".system" not in path.parts]
    names = {"/".join(part for part in path.relative_to(root).parts if not part.isdigit()): path for path in paths}
    return {name: path.read_bytes().replace(str(run).encode(), b"RUN") for name, path in names.items()}


def test_records_and_verdicts_have_the_same_bytes(runs):
    here, there = map(files, runs)
    # TFMA writes as many files as the engine likes.
    assert {name for name in here.keys() ^ there.keys() if not name.endswith(".tfrecord")} == set()
    compared = [name for name in here if SAME_BYTES.fullmatch(name)]
    assert [name for name in compared if here[name] != there[name]] == []
    for step in ("ExampleGen", "TeacherPredictions", "Transform", "Evaluator"):
        assert any(name.startswith(step) for name in compared), step


def test_statistics_differ_in_the_roundings_of_moments_only(runs):
    here, there = (json.loads(files(run)["DatasetStatistics/statistics/statistics.json"]) for run in runs)
    different = []

    def compare(path: str, a: object, b: object) -> None:
        if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
            for key in a:
                compare(f"{path}.{key}", a[key], b[key])
        elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
            for number, pair in enumerate(zip(a, b, strict=True)):
                compare(f"{path}[{number}]", *pair)
        elif a != b and not (isinstance(a, float) and isinstance(b, float) and abs(a - b) <= 4e-14):
            different.append((path, a, b))

    compare("", here, there)
    assert different == []


def test_tfx_statistics_are_the_same_but_for_their_order(runs):
    here, there = map(files, runs)
    names = [name for name in here if name.endswith("FeatureStats.pb")]
    assert len(names) == 3
    for name in names:
        first, second = ({f.path.step[0]: f for f in features(content[name])} for content in (here, there))
        assert first.keys() == second.keys()
        for feature, own in first.items():
            other = second[feature]
            assert own.num_stats.common_stats.num_non_missing == other.num_stats.common_stats.num_non_missing
            np.testing.assert_allclose(own.num_stats.mean, other.num_stats.mean, rtol=1e-12)
            np.testing.assert_allclose(own.num_stats.std_dev, other.num_stats.std_dev, rtol=1e-12)


def features(content: bytes) -> list[statistics_pb2.FeatureNameStatistics]:
    [dataset] = statistics_pb2.DatasetFeatureStatisticsList.FromString(content).datasets
    return list(dataset.features)


def test_raw_shards_have_the_same_statistics(engine, frames, yt8m, tmp_path):
    printed = []
    for name, runner in {"here": [], "engine": engine.settings()}.items():
        done = yt8m("stats", "--data", frames, "--out", tmp_path / name, "--json", *runner)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    assert printed[0] == printed[1]
    here, there = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir() if path.is_file()}
        for name in ("here", "engine")
    )
    assert here == there and {path.name for path in (tmp_path / "engine").iterdir()} == {*here, "figures"}


def test_nothing_is_left_of_the_engine_in_the_run_folder(runs):
    _, there = runs
    assert not (there / "beam_job.json").exists()
    assert not list(there.glob("pipeline_root/preflight-*")) and not list(there.rglob("writing"))
