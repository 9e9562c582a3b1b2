"""`yt8m run` of several experiments on the same data; an ensemble and a student of the models that they pushed."""

import json

import click
import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from models.errors import InputError
from pipeline.cli import yt8m

SMALL = [
    "--set",
    "training.max_epochs=2",
    "--set",
    "training.batch_size=8",
    "--set",
    "evaluation.floor=false",
]
FILE = """
average: {base: frame-average-2304-1152-gated, model: {hidden_units: [16]}}
netvlad: {base: netvlad-8, model: {encoder: {clusters: 4}, hidden_units: [16]}}
diverging: {base: netvlad, training: {learning_rate: 1.0e+38, decay_rate: 1.0}}
"""
BEFORE_THE_TRAINER = (
    "ExampleGen",
    "DatasetStatistics",
    "ImportSchemaGen",
    "StatisticsGen",
    "ExampleValidator",
    "Transform",
)


def run(*arguments):
    yt8m.main(["run", *map(str, arguments), *SMALL], standalone_mode=False)


def steps(out):
    return {step["name"]: step["state"] for step in json.loads((out / "steps.json").read_text())}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    (folder / "own.yaml").write_text(FILE)
    return folder


@pytest.fixture(scope="module")
def several(folder, frames):
    """The folder of a run of three experiments, of which the second fails."""
    arguments = ["--data", frames, "--experiment-file", folder / "own.yaml", "--out", folder / "runs"]
    with pytest.raises(
        InputError,
        match=r"1 of 3 experiments failed, first diverging: training diverged: .* lower training.learning_rate",
    ):
        run("--experiment", "average,diverging,netvlad", *arguments)
    return folder / "runs"


def test_steps_before_the_trainer_run_once(several):
    assert set(steps(several / "average").values()) == {"done"}
    of_the_last = steps(several / "netvlad")
    assert {name: of_the_last[name] for name in BEFORE_THE_TRAINER} == dict.fromkeys(BEFORE_THE_TRAINER, "cached")
    assert of_the_last["Trainer"] == of_the_last["Evaluator"] == of_the_last["Pusher"] == "done"
    assert len(list((several / "pipeline_root" / "ExampleGen" / "examples").iterdir())) == 1


def test_each_experiment_has_a_run_folder(several):
    for name in ("average", "netvlad"):
        scores = json.loads((several / name / "scores.json").read_text())
        assert scores["experiment"] == name and scores["model_version"]
        assert (several / name / "report" / "index.html").exists()
        assert len(json.loads((several / name / "training_log.json").read_text())["epochs"]) == 2
    failed = steps(several / "diverging")
    assert failed["Trainer"] == "failed" and "Pusher" not in failed
    assert not (several / "diverging" / "scores.json").exists()


def test_a_frame_level_average_model_reads_records_of_both_levels(several, frames, means, ask):
    [model] = (several / "average" / "serving").iterdir()
    of_frames, of_means = ask(model, frames / "train0000.tfrecord", means / "train0000.tfrecord")["answers"]
    # The video-level set holds the means of the same videos.
    assert of_frames["indices"] == of_means["indices"]
    np.testing.assert_allclose(of_frames["scores"], of_means["scores"], rtol=1e-4)


@pytest.mark.no_cover
def test_an_ensemble_of_pushed_models_is_one_model(several, frames):
    members = [several / "average", several / "netvlad"]
    out = several  # has the same data, ingested
    chosen = f"model.encoder.members=[{members[0]}, {members[1]}/serving]"
    run("--data", frames, "--experiment", "ensemble", "--out", out, "--set", chosen)

    assert {name: steps(out)[name] for name in BEFORE_THE_TRAINER} == dict.fromkeys(BEFORE_THE_TRAINER, "cached")
    resolved = yaml.safe_load((out / "settings.yaml").read_text())["model"]["encoder"]["members"]
    versions = [next((member / "serving").iterdir()) for member in members]
    assert resolved == [str(version) for version in versions]
    scores = json.loads((out / "scores.json").read_text())
    assert scores["splits"]["train"]["videos"] == scores["splits"]["validation"]["videos"] == 12

    generator = np.random.default_rng(0)
    video = {
        "frames": generator.integers(0, 256, (2, 30, 1152), np.uint8),
        "num_frames": np.array([30, 20], np.int32),
    }
    served = tf.saved_model.load(str(out / "serving" / scores["model_version"]))
    answer = served.signatures["raw_tensors"](**{name: tf.constant(value) for name, value in video.items()})
    parts = [
        tf.saved_model.load(str(version)).signatures["raw_tensors"](**{n: tf.constant(v) for n, v in video.items()})
        for version in versions
    ]
    kept = keras.saving.load_model(out / "serving" / scores["model_version"] / "assets.extra" / "model.keras")
    weights = np.asarray(keras.ops.softmax(kept.get_layer("ensemble").logits))
    assert weights.sum() == pytest.approx(1) and weights[0] != weights[1]
    expected = sum(weight * part["probabilities"] for weight, part in zip(weights, parts, strict=True))
    np.testing.assert_allclose(answer["probabilities"], expected, rtol=1e-4)


def test_an_ensemble_without_members_is_refused_before_any_work(folder, frames):
    with pytest.raises(InputError, match="an ensemble needs two models or more"):
        run("--data", frames, "--experiment", "ensemble", "--out", folder / "nothing")
    assert not (folder / "nothing" / "pipeline_root").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ["--experiment", "netvlad-8,average-576"],
            InputError,
            r"netvlad-8 \(frame\), average-576 \(video\): expected",
        ),
        (["--experiment", "netvlad-8", "--table", "4"], click.UsageError, "expected either --experiment or --table"),
        ([], click.UsageError, "expected either --experiment or --table"),
        (["--table", "3"], InputError, "--table is 3, allowed: 4, 5"),
        (
            ["--table", "12", "--set", "model.encoder.layers=1"],
            InputError,
            "dbof-2048-joint: model.encoder.layers",
        ),
    ],
)
def test_experiments_that_cannot_run_together_are_refused_before_any_work(folder, frames, arguments, error, message):
    with pytest.raises(error, match=message):
        run("--data", frames, "--out", folder / "nothing", *arguments)


@pytest.mark.no_cover
def test_a_student_learns_from_pushed_models(several, folder, frames, capsys):
    teachers = f"training.teachers=[{several / 'average'}, {several / 'netvlad' / 'serving'}]"
    run("--data", frames, "--experiment-file", folder / "own.yaml", "--experiment", "average", "--out", several,
        "--set", teachers, "--set", "training.teacher_weight=0.4")  # fmt: skip
    assert {name: steps(several)[name] for name in BEFORE_THE_TRAINER} == dict.fromkeys(BEFORE_THE_TRAINER, "cached")
    assert "labels beyond the best 100, which count as 0: 0.00% of all probability" in capsys.readouterr().out

    cards = (several / "pipeline_root" / "Trainer" / "model").glob("*/*/assets.extra/model_card.json")
    card = json.loads(max(cards, key=lambda path: int(path.parents[2].name)).read_text())
    versions = [str(next((several / name / "serving").iterdir())) for name in ("average", "netvlad")]
    assert (card["training"]["teachers"], card["training"]["teacher_weight"]) == (versions, 0.4)
    assert yaml.safe_load((several / "settings.yaml").read_text())["training"] == card["training"]
    # The same videos in the same batches: the F1 is that of the labels, the loss is that of the targets.
    alone, taught = (
        json.loads((out / "training_log.json").read_text())["epochs"][0] for out in (several / "average", several)
    )
    assert taught["f1"] == pytest.approx(alone["f1"], abs=0.05) and abs(taught["loss"] - alone["loss"]) > 0.01
