"""Searches with real trainings of a tiny model: results, failures, kills, workers and hopeless trials."""

import json
import os
import socket
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.errors import InputError
from models.features import MEAN, WIDTH
from models.settings import ModelSettings
from models.training_settings import TrainingSettings
from models.video_classifier import build_video_classifier
from tuner.search import Search, Task
from tuner.search_folder import read_log
from tuner.settings import TuneSettings
from tuner.trials import read_search

CLASSES = 3
RATES = {"training.learning_rate": {"type": "choice", "values": [1e-9, 3e-2]}}
RATES_OF_WORKERS = {"training.learning_rate": {"type": "choice", "values": [1e-3, 1e-2, 2e-2, 3e-2]}}
WORKERS = ("tuner0", "tuner1")


def batches(videos, seed):
    """Videos with a label for each of the first three features that is above 0."""
    means = np.random.default_rng(seed).normal(size=(videos, WIDTH)).astype(np.float32)
    means[:, :CLASSES] *= 30
    return tf.data.Dataset.from_tensor_slices(({MEAN: means}, (means[:, :CLASSES] > 0).astype(np.float32))).batch(32)


def build(settings):
    if settings.hidden_units == (13,):
        raise MemoryError("13 units are too many")
    return build_video_classifier(settings, CLASSES, seed=1)


def task():
    return Task(
        model=ModelSettings(encoder={"name": "average"}),
        training=TrainingSettings(learning_rate=3e-2),
        build=build,
        data=lambda model, training: (lambda epoch: batches(256, epoch), batches(128, 99)),
        seed=0,
    )


def settings(space, **more):
    content = {"space": space, "oracle": "grid", "max_epochs": 2, "max_trials": 9, "stop_hopeless": False, **more}
    return TuneSettings.model_validate(content)


def searched(folder, space, **more):
    chosen = settings(space, **more)
    Search(task(), chosen, folder).search()
    return read_search(folder, chosen)


@pytest.fixture(scope="module")
def rates_searched(tmp_path_factory):
    """`(objective)` -> the folder and the result of a search among RATES; made once."""

    @cache
    def search(objective):
        folder = tmp_path_factory.mktemp(objective) / "search"
        return folder, searched(folder, RATES, objective=objective)

    return search


@pytest.mark.parametrize("objective", ["val_gap", "val_f1", "val_loss"])
def test_the_winner_is_the_best_by_the_objective(rates_searched, objective):
    folder, result = rates_searched(objective)
    assert [trial.values["training.learning_rate"] for trial in result.trials] == [1e-9, 3e-2]
    assert result.winner.values == {"training.learning_rate": 0.03} and result.winner.epochs == 2
    poor, good = (trial.scores for trial in result.trials)
    assert good["val_loss"] < poor["val_loss"] and good["val_gap"] > poor["val_gap"] and good["val_f1"] > poor["val_f1"]
    assert not list(folder.glob("trial_*/checkpoint"))


def test_a_failed_trial_has_its_reason_and_the_search_continues(tmp_path):
    space = {"model.hidden_units": {"type": "choice", "values": [[13], [8], [13, 4]]}}
    result = searched(tmp_path / "search", space)
    assert [trial.status for trial in result.trials] == ["FAILED", "COMPLETED", "COMPLETED"]
    assert result.trials[0].reason == "MemoryError: 13 units are too many" and not result.trials[0].scores
    assert result.describe().startswith("2 of 3 trials scored, best val_gap ")


def test_a_loss_that_is_not_finite_fails_the_trial(tmp_path):
    space = {"training.learning_rate": {"type": "choice", "values": [1e38, 1e-2]}}
    result = searched(tmp_path / "search", space)
    assert "lower training.learning_rate" in result.trials[0].reason and result.trials[1].scores


def test_a_search_without_a_scored_trial_is_an_error(tmp_path):
    space = {"model.hidden_units": {"type": "choice", "values": [[13]]}}
    with pytest.raises(InputError, match="1 trial failed and none succeeded, the first: MemoryError: 13 units"):
        Search(task(), settings(space), tmp_path / "search").search()


def test_max_batches_limits_an_epoch(tmp_path):
    Search(task(), settings(RATES, max_batches=3), tmp_path / "search").search()
    log = json.loads((tmp_path / "search" / "trial_0" / "training_log.json").read_text())
    assert [epoch["videos"] for epoch in log["epochs"]] == [96, 96]


def test_a_training_with_its_values_reproduces_the_best_trial(tmp_path, rates_searched):
    _, result = rates_searched("val_gap")
    again = searched(tmp_path / "again", {"training.learning_rate": {"type": "choice", "values": [3e-2]}})
    assert again.winner.scores == result.winner.scores


def slowly(folder):
    """A search whose second trial never ends."""
    started = []

    def build_slowly(model):
        started.append(model)
        if len(started) == 2:
            (folder / "second").touch()
            time.sleep(600)
        return build(model)

    slow = Task(**{**vars(task()), "build": build_slowly})
    Search(slow, settings(RATES), folder / "search").search()


def together(folder):
    """A worker's search; leaves a file for each trial that it ran, and waits until every worker has a trial."""

    def build_with_others(model):
        (folder / f"{os.environ['KERASTUNER_TUNER_ID']}-{time.time_ns()}").touch()
        wait_until(lambda: all(any(folder.glob(f"{worker}-*")) for worker in WORKERS))
        return build(model)

    shared = Task(**{**vars(task()), "build": build_with_others})
    Search(shared, settings(RATES_OF_WORKERS), folder / "search").search()


def wait_until(condition):
    deadline = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_search_resumes_without_repeating_ended_trials(tmp_path):
    process = subprocess.Popen([sys.executable, __file__, "slowly", tmp_path], stdout=subprocess.DEVNULL)
    wait_until(lambda: (tmp_path / "second").exists() or process.poll() is not None)
    assert process.poll() is None
    process.kill()
    process.wait()
    first = tmp_path / "search" / "trial_0" / "training_log.json"
    written = first.stat().st_mtime_ns
    result = searched(tmp_path / "search", RATES)
    assert [trial.status for trial in result.trials] == ["COMPLETED", "COMPLETED"]
    assert first.stat().st_mtime_ns == written


def test_workers_share_one_oracle(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", port)
    command = [sys.executable, __file__, "together", tmp_path]
    chief, other = (
        subprocess.Popen(command, env={**os.environ, "KERASTUNER_TUNER_ID": name}, stdout=subprocess.DEVNULL)
        for name in ("chief", WORKERS[1])
    )
    monkeypatch.setenv("KERASTUNER_TUNER_ID", WORKERS[0])
    together(tmp_path)
    assert (chief.wait(timeout=600), other.wait(timeout=600)) == (0, 0)
    result = read_search(tmp_path / "search", settings(RATES_OF_WORKERS))
    assert sorted(trial.values["training.learning_rate"] for trial in result.trials) == sorted(
        RATES_OF_WORKERS["training.learning_rate"]["values"]
    )
    assert all(trial.scores for trial in result.trials)
    ran = [path.name.partition("-")[0] for path in tmp_path.glob("tuner*")]
    assert len(ran) == len(result.trials) and set(ran) == set(WORKERS)


def test_a_promoted_trial_equals_an_uninterrupted_one(tmp_path):
    space = {"training.learning_rate": {"type": "float", "min": 1e-4, "max": 3e-2, "log": True}}
    chosen = settings(space, oracle="hyperband", max_epochs=2, factor=2)
    search = Search(task(), chosen, tmp_path / "search")
    search.search()
    trials = {trial.trial_id: trial for trial in search.oracle.trials.values()}
    promoted = [trial for trial in trials.values() if trial.hyperparameters.values.get("tuner/initial_epoch")]
    assert promoted
    trained = {name: read_log(tmp_path / "search" / f"trial_{name}") for name in trials}
    for trial in promoted:
        values = trial.hyperparameters.values
        assert len(trained[trial.trial_id].epochs) == values["tuner/epochs"]
        assert trained[trial.trial_id].resumed_from == (values["tuner/initial_epoch"], 0)
    last = max(promoted, key=lambda trial: trial.hyperparameters.values["tuner/round"])
    rate = last.hyperparameters.values["training.learning_rate"]
    alone = {"training.learning_rate": {"type": "choice", "values": [rate]}}
    uninterrupted = settings(alone, max_epochs=last.hyperparameters.values["tuner/epochs"])
    Search(task(), uninterrupted, tmp_path / "uninterrupted").search()
    assert trained[last.trial_id] == read_log(tmp_path / "uninterrupted" / "trial_0")
    assert not list((tmp_path / "search").glob("trial_*/checkpoint"))


def test_a_hopeless_trial_ends_early_and_is_scored(tmp_path):
    rates = {"training.learning_rate": {"type": "choice", "values": [3e-2, 2e-2, 1e-2, 1e-9]}}
    result = searched(tmp_path / "search", rates, stop_hopeless=True, max_epochs=3)
    last = result.trials[-1]
    assert last.values == {"training.learning_rate": 1e-9}
    assert (last.epochs, last.stopped_by) == (1, "hopeless") and last.scores
    assert {trial.epochs for trial in result.trials[:2]} == {3}


if __name__ == "__main__":
    {"slowly": slowly, "together": together}[sys.argv[1]](Path(sys.argv[2]))
