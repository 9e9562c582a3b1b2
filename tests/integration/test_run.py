"""`yt8m run` from raw shards to an evaluated, pushed and documented model."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from components import source_fingerprint
from components.served_models import versions
from models.errors import InputError
from models.input.raw_records import parse_raw_frames
from pipeline.cli import yt8m
from pipeline.steps import PAGES, TRAITS, Step, report_pages
from tests.docs.code_blocks import ROOT, blocks

YT8M = Path(sys.executable).with_name("yt8m")
CLASSES = 7  # of `frames`


@pytest.fixture(scope="module")
def run(finished_run):
    """Runs in this process, like `finished_run`; returns scores.json."""

    def run(data, out, *arguments):
        fixed = ["run", "--data", str(data), "--experiment", "netvlad-8", "--out", str(out)]
        yt8m.main([*fixed, *finished_run.arguments, *arguments], standalone_mode=False)
        return json.loads((out / "scores.json").read_text())

    return run


@pytest.fixture(scope="module")
def unbroken(finished_run):
    """The folder and scores of an undisturbed run; the tests below continue in that folder."""
    return finished_run.folder, finished_run.scores


def steps(out):
    return {step["name"]: step["state"] for step in json.loads((out / "steps.json").read_text())}


def test_a_run_leaves_scores_steps_logs_and_a_report(unbroken, frames):
    out, scores = unbroken
    assert (scores["experiment"], scores["level"], scores["data"]) == ("netvlad-8", "frame", str(frames))
    assert scores["synthetic"] is True
    assert scores["blessed"] and versions(str(out / "serving")) == [scores["model_version"]]
    assert {name: split["videos"] for name, split in scores["splits"].items()} == {
        "train": 96,
        "validation": 12,
        "test": 12,
    }
    test = scores["splits"]["test"]
    assert 0 <= test["f1"] <= 1 and test["source"] == "Evaluator"
    assert set(test["intervals"]) == {"f1", "f1_at_threshold", "gap", "hit_at_1"}
    assert all(low <= test[name] <= high for name, (low, high) in test["intervals"].items())
    assert set(steps(out).values()) == {"done"}
    settings = yaml.safe_load((out / "settings.yaml").read_text())
    assert settings["training"]["batch_size"] == 8
    assert (settings["data"]["vocabulary"], settings["data"]["classes"]) == (str(frames / "vocabulary.csv"), CLASSES)
    events = EventAccumulator(str(out / "logs" / "validation")).Reload()
    assert events.Tags()["tensors"] and len(events.Tensors("f1")) == 4
    report = (out / "report" / "index.html").read_text()
    assert f"{scores['splits']['test']['f1']:.4f}" in report
    for page in ("statistics", "anomalies", "training", "evaluation"):
        assert f'href="{page}.html"' in report and (out / "report" / f"{page}.html").stat().st_size > 1000


def test_the_table_of_pages_has_every_page_of_a_run_under_the_step_that_wrote_it(unbroken):
    out, _ = unbroken
    paths = [path.relative_to(out) for path in out.rglob("*.html")]
    in_report = {str(path) for path in paths if path.parts[0] != "pipeline_root"}
    assert in_report == {f"report/{page}.html" for page in report_pages(steps(out))}
    in_artifacts = {(path.parts[1], path.name) for path in paths if path.parts[0] == "pipeline_root"}
    pages = {step: PAGES[TRAITS[Step(step)].page] for step in steps(out) if TRAITS[Step(step)].page}
    assert in_artifacts == {(step, page.file) for step, page in pages.items() if page.file}


def test_the_model_explains_itself(unbroken):
    out, scores = unbroken
    extra = out / "serving" / scores["model_version"] / "assets.extra"
    card = json.loads((extra / "model_card.json").read_text())
    assert card["experiment"] == "netvlad-8" and card["training_data"] == {"train": 96, "validation": 12}
    assert json.loads((extra / "labels.json").read_text()) == [f"Synthetic label {n}" for n in range(CLASSES)]
    assert (extra / "model.keras").stat().st_size > 10_000


def test_the_same_command_again_uses_the_cache_and_pushes_nothing(run, unbroken, frames, capsys):
    out, scores = unbroken
    assert run(frames, out) == scores
    assert steps(out) == dict.fromkeys(steps(out), "cached") | {"DriftDetector": "done", "Pusher": "done"}
    assert versions(str(out / "serving")) == [scores["model_version"]]
    shown = capsys.readouterr().out
    assert f"nothing pushed: version {scores['model_version']} is this model" in shown
    assert "Scores of netvlad-8 on synthetic data" in shown
    test, rows = scores["splits"]["test"], [re.split(r"\s{2,}", line.strip()) for line in shown.splitlines()]
    spread = {name: "{:.4f} to {:.4f}".format(*interval) for name, interval in test["intervals"].items()}
    assert ["F1 at the best threshold", f"{test['f1_at_threshold']:.4f}", spread["f1_at_threshold"]] in rows
    assert ["GAP@20", f"{test['gap']:.4f}", spread["gap"]] in rows
    assert ["mAP, labels that occur", f"{test['map']:.4f}", "not measured"] in rows
    assert f"no drift from the training data of version {scores['model_version']}, which serves" in shown


@pytest.fixture(scope="module")
def asked(unbroken, frames, ask, tmp_path_factory):
    """Predictions of the pushed model, after the program of docs/serving.md has run unchanged."""
    out, scores = unbroken
    executed = [block for block in blocks(ROOT / "docs" / "serving.md") if block.marker == "run"]
    [code] = [block.text for block in executed if block.language == "python"]
    folder = tmp_path_factory.mktemp("reader")
    for link, target in (("runs/demo", out), ("data/demo", frames)):
        (folder / link).parent.mkdir()
        (folder / link).symlink_to(target)
    return ask(out / "serving" / scores["model_version"], frames / "train0000.tfrecord", first=code, cwd=folder)


def test_plain_tensorflow_answers_raw_records_with_label_names(asked):
    [answer] = asked["answers"]
    assert not {"models", "components", "pipeline", "tfx"} & set(asked["modules"])
    for labels, indices, values in zip(answer["labels"], answer["indices"], answer["scores"], strict=True):
        assert labels == [f"Synthetic label {index}" for index in indices] and len(labels) == CLASSES
        assert values == sorted(values, reverse=True) and all(0 <= value <= 1 for value in values)


def test_the_program_in_the_documentation_calls_the_model(asked):
    assert "\n".join(asked["printed"]).count("Synthetic label") == 6


def test_raw_packed_and_tensor_signatures_agree(unbroken, frames):
    out, scores = unbroken
    model = tf.saved_model.load(str(out / "serving" / scores["model_version"]))
    packed_files = sorted((out / "pipeline_root" / "ExampleGen" / "examples").glob("*/Split-*/*"))
    packed = {}
    for file in packed_files:
        for record in tf.data.TFRecordDataset(str(file)):
            packed[tf.train.Example.FromString(record.numpy()).features.feature["id"].bytes_list.value[0]] = record
    raw = list(tf.data.TFRecordDataset(str(frames / "train0001.tfrecord")).take(5))
    ids = [tf.train.SequenceExample.FromString(r.numpy()).context.feature["id"].bytes_list.value[0] for r in raw]
    from_packed = model.signatures["packed_examples"](examples=tf.stack([packed[i] for i in ids]))["probabilities"]
    from_tensors = model.signatures["raw_tensors"](**parse_raw_frames(tf.stack(raw)))["probabilities"]
    answer = model.signatures["serving_default"](examples=tf.stack(raw))
    np.testing.assert_allclose(from_packed, from_tensors, rtol=1e-5, atol=1e-7)
    best = np.take_along_axis(from_packed.numpy(), answer["indices"].numpy(), axis=1)
    np.testing.assert_allclose(best, answer["scores"], rtol=1e-5, atol=1e-7)
    slices = model.signatures["transform_features"](examples=tf.stack([packed[i] for i in ids]))
    assert slices["labels"].shape == (5, CLASSES)
    assert set(slices["num_labels"].numpy()) <= {b"1", b"2", b"3", b"4", b"5+"}
    frames_of = [
        len(tf.train.SequenceExample.FromString(r.numpy()).feature_lists.feature_list["rgb"].feature) for r in raw
    ]
    for name, count in zip(slices["num_frames"].numpy().astype(str), frames_of, strict=True):
        low, _, high = name.rstrip("+").partition("-")
        assert int(low) <= count <= int(high or 300)


def test_the_evaluators_scores_are_those_of_the_models_predictions_by_definition(unbroken, scores_by_definition):
    out, scores = unbroken
    model = tf.saved_model.load(str(out / "serving" / scores["model_version"]))
    [file] = (out / "pipeline_root" / "ExampleGen" / "examples").glob("*/Split-test/*")
    examples = tf.stack(list(tf.data.TFRecordDataset(str(file))))
    probabilities = model.signatures["packed_examples"](examples=examples)["probabilities"].numpy()
    labels = model.signatures["transform_features"](examples=examples)["labels"].numpy()
    expected = scores_by_definition(probabilities, labels)
    measured = scores["splits"]["test"]
    assert len(labels) == measured["videos"] and set(expected) <= set(measured)
    assert {name: measured[name] for name in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.no_cover
def test_a_killed_run_resumes_and_ends_with_the_same_scores(run, finished_run, unbroken, frames, tmp_path):
    out = tmp_path / "killed"
    command = [YT8M, "run", "--data", frames, "--experiment", "netvlad-8", "--out", out, *finished_run.arguments]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 600
    while not list(out.glob("checkpoints/*/checkpoint.json")):  # of the first of four epochs
        assert process.poll() is None and time.monotonic() < deadline, (out / "run.log").read_text()[-3000:]
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "scores.json").exists()
    log = (out / "run.log").read_text()
    assert "step Trainer" in log and "Synthetic label" not in log, "TFX's lines repeat all label names"
    scores = run(frames, out)
    assert steps(out)["Transform"] == "cached" and steps(out)["Trainer"] == "done"
    _, expected = unbroken
    assert_same_scores(scores, expected)
    model = next((out / "serving").glob("*/assets.extra/training_log.json"))
    assert json.loads(model.read_text())["resumed_from"] is not None


# A training that learns nothing.
UNLEARNED = ("--set", "training.learning_rate=1.0e-9", "--set", "training.max_epochs=1")


@pytest.mark.no_cover
def test_a_first_model_that_learned_nothing_is_not_pushed(run, unbroken, frames, capsys):
    out, _ = unbroken
    serving = (out / "serving").rename(out / "serving-moved")
    try:
        scores = run(frames, out, *UNLEARNED, "--set", "evaluation.floor=true")
        assert not scores["blessed"] and scores["model_version"] is None and versions(str(out / "serving")) == []
    finally:
        shutil.rmtree(out / "serving", ignore_errors=True)
        serving.rename(out / "serving")
    shown = " ".join(capsys.readouterr().out.split())
    assert "not blessed" in shown and "nothing pushed: not blessed" in shown
    assert re.search(r"gap 0\.\d{4} is not above 0\.\d{4}, that of the training split's label frequencies", shown)


@pytest.mark.no_cover
def test_a_worse_model_is_not_pushed_and_the_reason_is_printed(run, unbroken, frames, capsys):
    out, good = unbroken
    scores = run(frames, out, *UNLEARNED)
    assert not scores["blessed"] and scores["model_version"] == good["model_version"]
    shown = capsys.readouterr().out
    assert "not blessed" in shown and "nothing pushed: not blessed" in shown
    assert f"against the champion's {good['splits']['test']['f1']:.4f} (version {good['model_version']})" in shown


@pytest.mark.no_cover
def test_drifted_data_end_the_run_before_training_where_configured(
    run, unbroken, frames, tmp_path, write_shard, frame_record
):
    out, _ = unbroken
    for shard in "abcde":
        write_shard(tmp_path / f"{shard}.tfrecord", [frame_record(f"{shard}{n:03d}", [6]) for n in range(30)])
    shutil.copy(frames / "vocabulary.csv", tmp_path)
    with pytest.raises(InputError, match=r"the training data drifted from those of version .* labels vanished: Synth"):
        run(tmp_path, out, "--set", "data.drift.stop=true")
    assert steps(out)["DriftDetector"] == "failed" and "Trainer" not in steps(out)


def assert_same_scores(found, expected):
    """Training computes the same bits, the Evaluator doesn't: Beam sizes batches by the clock, so roundings move."""
    for split, scores in expected["splits"].items():
        again, before = flat(found["splits"][split]), flat(scores)
        assert again == (before if split != "test" else pytest.approx(before, abs=1e-6)), split


def flat(scores):
    """Scores with the ends of intervals beside them."""
    intervals = scores.get("intervals", {}).items()
    ends = {(name, end): value for name, interval in intervals for end, value in enumerate(interval)}
    return {name: value for name, value in scores.items() if name != "intervals"} | ends


@pytest.mark.no_cover
def test_a_step_runs_again_when_its_page_was_edited(run, unbroken, frames, tmp_path, monkeypatch):
    out, scores = unbroken
    run(frames, out)
    for package in ("components", "models", "tuner"):
        shutil.copytree(source_fingerprint._ROOT / package, tmp_path / package)
    monkeypatch.setattr(source_fingerprint, "_ROOT", tmp_path)
    for edited in (
        "components/evaluator/evaluation.html",
        "tuner/spaces.yaml",
        "models/cost.py",
        "components/pusher.py",
    ):
        with (tmp_path / edited).open("a") as file:
            file.write("\n")
    assert_same_scores(run(frames, out), scores)
    assert {name for name, state in steps(out).items() if state == "done"} == {"Evaluator", "Pusher"}


@pytest.mark.no_cover
def test_from_node_runs_a_step_again(run, unbroken, frames):
    out, scores = unbroken
    again = run(frames, out, "--from-node", "Evaluator")
    assert steps(out)["Trainer"] == "cached" and steps(out)["Evaluator"] == "done"
    assert_same_scores(again, scores)


def test_a_refused_run_leaves_earlier_results_unchanged(run, unbroken, frames):
    out, _ = unbroken
    run(frames, out)
    results = [out / name for name in ("scores.json", "training_log.json", "settings.yaml", "report/index.html")]
    before = {path: path.read_bytes() for path in (*results, out / "steps.json")}
    with pytest.raises(InputError, match="--from-node is 'Evaluater', allowed: ExampleGen, "):
        run(frames, out, "--from-node", "Evaluater")
    assert {path: path.read_bytes() for path in before} == before
    with pytest.raises(InputError, match="holds frame-level records, the experiment reads video-level ones"):
        yt8m.main(
            ["run", "--data", str(frames), "--experiment", "average-2304-1152", "--out", str(out)],
            standalone_mode=False,
        )
    assert [path.read_bytes() for path in results] == [before[path] for path in results]
    assert steps(out) == {"ExampleGen": "failed"}
