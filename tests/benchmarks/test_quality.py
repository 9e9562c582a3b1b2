"""What the benchmark of quality trains, on which shards, and what it makes of the models."""

import json
from pathlib import Path

import numpy as np
import pytest
import quality
import quality_models
from quality import Data, Training, find_model
from quality_models import BASELINES, CLASSES, Baseline
from quality_scores import COSTS, Row

VIDEOS = 12


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A folder of 20 empty shards, which the benchmark takes for its data."""
    folder = tmp_path / "source"
    (folder / "video").mkdir(parents=True)
    for number in range(20):
        (folder / "video" / f"validate{number:04}.tfrecord").touch()
    monkeypatch.setattr(quality, "DATA", folder)
    return folder


@pytest.fixture
def work(monkeypatch):
    """Replaces the processes that read, train and predict; returns their arguments."""
    rng, calls = np.random.default_rng(0), []

    def replacement(command, *arguments):
        calls.append((command, *arguments))
        out = Path(arguments[-1])
        if command == "read":
            pairs = [(video, label) for video in range(VIDEOS) for label in (video % 3, 3)]
            np.savez(out, means=np.zeros((VIDEOS, 4), np.float32), pairs=np.array(pairs, np.int32))
            return
        for split in ("validation", "test"):
            np.save(out / f"{split}.npy", rng.random((VIDEOS, CLASSES), np.float32))
        if command == "train":
            (out / "cost.json").write_text(json.dumps(dict.fromkeys(COSTS, 2)))

    monkeypatch.setattr(quality, "work", replacement)
    return calls


def test_the_last_shards_are_for_test_and_those_before_for_validation(source, tmp_path):
    names = {
        split: [shard.stem[-2:] for shard in shards] for split, shards in Data.of(source, None, tmp_path).shards.items()
    }
    assert names == {"train": [f"{n:02}" for n in range(16)], "validation": ["16", "17"], "test": ["18", "19"]}
    few = Data.of(source, 4, tmp_path).shards
    assert [len(few[split]) for split in ("train", "validation", "test")] == [2, 1, 1]


def test_every_split_has_a_folder_of_its_shards(source, work, tmp_path):
    data = Data.of(source, 4, tmp_path)
    data.prepare()
    data.prepare()
    assert sorted(link.name for link in data.links("train").iterdir()) == [
        "validate0000.tfrecord",
        "validate0001.tfrecord",
    ]
    assert [call[0] for call in work] == ["read"] * 3
    assert quality_models.load(data.folder, "train")[1].sum() == 2 * VIDEOS


def test_what_is_trained_is_not_trained_again(source, work, tmp_path, capsys):
    options = ["--out", str(tmp_path / "out"), "--seeds", "0,7", "--max-epochs", "3"]
    quality.main([*options, "--only", "dense"])
    assert [call[1:4] for call in work if call[0] == "train"] == [("dense", 0, 3), ("dense", 7, 3)]
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1].startswith("not trained with every seed: logistic, dense-dropout, starter-moe, average-logistic")
    assert [line.split(" | ")[0] for line in printed if line.startswith("| dense")] == ["| dense", "| dense x2"]

    quality.main([*options, "--only", "dense", "dense-dropout"])
    assert len([call for call in work if call[0] == "train"]) == 4
    figures = json.loads((tmp_path / "out" / "quality.json").read_text())
    assert [row["row"] for row in figures["rows"]] == ["dense", "dense x2", "dense-dropout", "dense-dropout x2"]
    assert figures["rows"][1]["costs"] == [{"seconds": 4, "epochs": 4, "memory_mb": 2, "parameters": 4}]
    assert set(figures["rows"][0]["differences"]) == {"fitted_f1", "gap", "map"}


@pytest.fixture
def commands(monkeypatch):
    """Replaces `yt8m run` by folders as it leaves them; returns the commands."""
    calls = []

    def run(command, check):
        calls.append([str(word) for word in command])
        out = Path(command[command.index("--out") + 1])
        (out / "serving" / "17").mkdir(parents=True)
        (out / "pipeline_root").mkdir()
        (out / "training_log.json").write_text('{"parameters": 5, "epochs": [{"seconds": 1.5}, {"seconds": 2}]}')
        (out / "steps.json").write_text('[{"name": "Trainer", "state": "done", "peak_memory_mb": 900}]')

    monkeypatch.setattr(quality.subprocess, "run", run)
    return calls


def test_a_run_of_the_catalogue_gets_the_splits_and_its_model_predicts(source, work, tmp_path, commands):
    options = ["--out", str(tmp_path), "--seeds", "3", "--experiments", "average-576", "--only", "average-576"]
    quality.main(options)
    [command] = commands
    for option, split in {"--data": "train", "--validation-data": "validation", "--test-data": "test"}.items():
        assert command[command.index(option) + 1].endswith(f"/{split}/*.tfrecord")
    assert command[command.index("--seed") + 1] == "3"
    assert "--vocabulary" not in command and "--set" not in command
    predicted = next(call for call in work if call[0] == "predict")
    assert predicted[1].parts[-3:] == ("run", "serving", "17")
    assert json.loads((predicted[-1] / "cost.json").read_text()) == {
        "seconds": 3.5,
        "epochs": 2,
        "parameters": 5,
        "memory_mb": 900,
    }
    assert not (predicted[-1] / "run" / "pipeline_root").exists()


def test_rows_that_need_models_get_those_of_their_seed(source, work, tmp_path, commands):
    needed = ["tuned-average", "neighbours", "ensemble", "student"]
    quality.main(["--out", str(tmp_path), "--seeds", "3,4", "--only", *needed])
    assert [command[command.index("--experiment") + 1] for command in commands[::2]] == [*needed[:3], "tuned-average"]
    runs = [command[command.index("--out") + 1] for command in commands[1::2]]
    assert commands[5][-4:] == ["--set", f"model.encoder.members=[{runs[0]}, {runs[1]}]", "--set", "level=video"]
    assert commands[7][-4:] == ["--set", f"training.teachers=[{runs[2]}]", "--set", "level=video"]


def test_a_training_that_fails_ends_no_other(source, work, tmp_path, monkeypatch, capsys):
    replacement = quality.work

    def failing(command, *arguments):
        if arguments[0] == "logistic":
            raise quality.subprocess.CalledProcessError(1, "python")
        replacement(command, *arguments)

    monkeypatch.setattr(quality, "work", failing)
    with pytest.raises(SystemExit, match=r"^failed: logistic with seed 5$"):
        quality.main(["--out", str(tmp_path), "--seeds", "5", "--only", "logistic", "dense"])
    assert "| dense |" in capsys.readouterr().out


def test_a_model_that_was_not_blessed_is_found(tmp_path):
    model = tmp_path / "pipeline_root" / "Trainer" / "model" / "8" / "Format-Serving"
    model.mkdir(parents=True)
    assert find_model(tmp_path) == model


def test_other_settings_have_another_folder(source, tmp_path):
    data = Data.of(source, None, tmp_path)
    trainings = [
        Training("dense", 0, None, None, data, tmp_path),
        Training("dense", 1, None, None, data, tmp_path),
        Training("dense", 0, 2, None, data, tmp_path),
        Training("dense", 0, None, None, Data.of(source, 10, tmp_path), tmp_path),
    ]
    assert len({training.folder for training in trainings}) == 4


def test_an_interval_is_centred_on_the_difference():
    def row(name, *scores):
        return Row(name, [], [], {"map": np.array(scores)})

    models = row("ours", [0.5, 0.75, 0.95], [0.25, 0.35, 0.35])
    difference, low, high = models.difference(row("peer", [0.125, 0.25, 0.25]), "map")
    assert difference == 0.25
    assert (low, high) == (pytest.approx(0.25 - 0.0475), pytest.approx(0.25 + 0.0475))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "0,x"], "argument --seeds: '0,x', expected whole numbers with commas between them"),
        (["--experiments", "average-5"], "experiment is 'average-5', allowed: "),
        (["--experiments", "netvlad-8"], "experiment netvlad-8 does not train on means, expected one of level video"),
        (
            ["--only", "sparse"],
            "--only is sparse, allowed: logistic, dense, dense-dropout, starter-moe, average-logistic",
        ),
        (["--shards", "2"], "has 2 shards (*.tfrecord), expected 3 or more: set YT8M_DATA"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(options, message, source, tmp_path, capsys):
    with pytest.raises(SystemExit):
        quality.main(["--out", str(tmp_path), *options])
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_videos_without_labels_are_left_out(write_shard, video_record, tmp_path):
    records = [video_record("a", [3, 5]), video_record("b", []), video_record("c", [7])]
    write_shard(tmp_path / "shards" / "one.tfrecord", records)
    quality_models.read(str(tmp_path / "shards"), str(tmp_path / "test.npz"))
    means, labels = quality_models.load(tmp_path, "test")
    assert means.shape == (2, 1152)
    assert np.argwhere(labels).tolist() == [[0, 3], [0, 5], [1, 7]]


def test_the_starter_codes_mixture_is_that_of_its_formula(monkeypatch):
    monkeypatch.setattr(quality_models, "CLASSES", 3)
    model = quality_models.build(BASELINES["starter-moe"])
    means = np.random.default_rng(0).normal(size=(4, 1152)).astype(np.float32)
    gates, experts, bias = (weight.numpy() for weight in model.weights)
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    shares = np.exp((unit @ gates).reshape(4, 3, 3))
    probabilities = (1 / (1 + np.exp(-(unit @ experts + bias)))).reshape(4, 3, 2)
    expected = (shares[..., :2] / shares.sum(axis=-1, keepdims=True) * probabilities).sum(axis=-1)
    np.testing.assert_allclose(model.predict_on_batch(means), expected, rtol=1e-4)
    labels = np.eye(4, 3)
    cross_entropy = -(labels * np.log(expected) + (1 - labels) * np.log(1 - expected)).sum(axis=1).mean()
    penalty = 0.5e-8 * ((gates**2).sum() + (experts**2).sum())
    assert model.evaluate(means, labels, verbose=0) == pytest.approx(cross_entropy + penalty, rel=1e-4)


def test_the_baselines_of_the_thesis_recipe_differ_in_layers_alone():
    assert BASELINES["dense-dropout"] == Baseline(hidden_units=(2304, 1152), dropout=0.35)
    assert BASELINES["logistic"] == Baseline(learning_rate=1e-4, batch_size=128, patience=3)
