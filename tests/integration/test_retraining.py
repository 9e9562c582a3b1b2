"""A second span of data arrives: training on it starts from the model of the first span."""

import contextlib
import io
import json

import pytest
import yaml

from components.served_models import ModelCard, versions
from models.errors import InputError
from pipeline.cli import yt8m

RECIPE = ["training.max_epochs=4", "training.batch_size=16", "training.learning_rate=1.0e-3", "model.hidden_units=[64]"]


def run(data, out, *settings):
    """Runs in this process and returns the validation F1 of each epoch."""
    chosen = [argument for setting in (*RECIPE, *settings) for argument in ("--set", setting)]
    arguments = ["run", "--data", str(data), "--experiment", "average-2304-1152", "--out", str(out), *chosen]
    yt8m.main(arguments, standalone_mode=False)
    return [epoch["val_f1"] for epoch in json.loads((out / "training_log.json").read_text())["epochs"]]


def start(out):
    return yaml.safe_load((out / "settings.yaml").read_text())["training"]["warm_start"]


@pytest.fixture(scope="module")
def spans(tmp_path_factory):
    """Two spans of different videos with the same labels."""
    folder = tmp_path_factory.mktemp("spans")
    for span in (1, 2):
        sizes = ["--videos", "300", "--labels", "7", "--seed", str(span)]
        yt8m.main(["synth", "--level", "video", *sizes, str(folder / f"span-{span}")], standalone_mode=False)
    return folder


@pytest.fixture(scope="module")
def first(spans):
    """A run on the first span, which asks for a warm start before there is a model: folder, output, F1 by epoch."""
    out = spans / "runs"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        cold = run(spans / "span-1", out, "training.warm_start=true")
    return out, printed.getvalue(), cold


def test_without_a_model_training_starts_from_random_weights(first):
    out, printed, _ = first
    assert start(out) is False
    assert json.loads((out / "scores.json").read_text())["level"] == "video"
    assert "warm start: no model serves yet, training begins with random weights" in printed


@pytest.mark.no_cover
def test_a_warm_start_needs_fewer_epochs_than_a_cold_one(first, spans, capsys):
    out, _, cold = first
    [champion] = versions(str(out / "serving"))
    warm = run(spans / "span-{SPAN}" / "*.tfrecord", out, "training.warm_start=true")
    served = f"{out}/serving/{champion}"
    assert f"warm start: training begins with the weights of {served}" in capsys.readouterr().out
    assert start(out) == served
    newest = versions(str(out / "serving"))[-1]
    assert newest != champion
    assert ModelCard.read(f"{out}/serving/{newest}").training["warm_start"] == served
    best = max(cold)  # on the same number of videos with the same labels
    assert next(epoch for epoch, f1 in enumerate(warm) if f1 >= best) < cold.index(best)


def test_another_architecture_is_refused_before_any_work(first, spans):
    out, _, _ = first
    before = (out / "settings.yaml").read_text()
    with pytest.raises(InputError, match=r"warm_start: model.hidden_units is \[32\], allowed with the weights of"):
        run(spans / "span-2", out, "training.warm_start=true", "model.hidden_units=[32]")
    assert (out / "settings.yaml").read_text() == before
