"""The oracles on a function with a known maximum, and after kills."""

import shutil
from math import log10
from statistics import mean, stdev

import keras_tuner
import pytest
from keras_tuner.src.engine.trial import TrialStatus
from threadpoolctl import threadpool_info, threadpool_limits

from tuner.hyperparameters import active_values
from tuner.oracles import build_oracle
from tuner.settings import TuneSettings

SPACE = {
    "training.learning_rate": {"type": "float", "min": 1e-5, "max": 1e-1, "log": True},
    "model.dropout": {"type": "float", "min": 0.0, "max": 0.9},
}
EPOCHS = 9


def quality(values, epochs=EPOCHS):
    """1 for the best values with unlimited epochs, less for other values and fewer epochs."""
    rate, dropout = log10(values["training.learning_rate"]) + 3, values["model.dropout"] - 0.3
    return 1 - (rate / 2) ** 2 - dropout**2 - 0.3 / epochs


def settings(oracle, **more):
    content = {"space": SPACE, "oracle": oracle, "max_epochs": EPOCHS, **more}
    return TuneSettings.model_validate(content)


def opened(folder, oracle, seed=0, **more):
    built = build_oracle(settings(oracle, **more), seed)
    built._set_project_dir(str(folder.parent), folder.name)
    built.verbose = 0
    if (folder / "oracle.json").exists():
        built.reload()
    return built


def step(oracle, judge=quality):
    """Runs a trial; returns its epochs, None at the end of the search."""
    trial = oracle.create_trial("tuner0")
    if trial.status == TrialStatus.STOPPED:
        return None
    epochs = trial.hyperparameters.values.get("tuner/epochs", EPOCHS)
    oracle.update_trial(trial.trial_id, {"val_gap": judge(active_values(trial.hyperparameters), epochs)})
    trial.status = TrialStatus.COMPLETED
    oracle.end_trial(trial)
    return epochs


def search(folder, oracle, seed, budget=1e9, **more):
    """The quality, with unlimited epochs, of the best values of a search within a budget; and the epochs it used."""
    built, spent = opened(folder, oracle, seed, **more), 0
    while spent < budget and (epochs := step(built)):
        spent += epochs
    [best] = built.get_best_trials()
    return quality(active_values(best.hyperparameters), 1e9), spent


@pytest.mark.parametrize(("oracle", "trials", "searches"), [("bayesian", 20, 3), ("hyperband", 1, 20)])
def test_they_beat_random_search_with_the_same_number_of_epochs(tmp_path, oracle, trials, searches):
    gains = []
    for seed in range(searches):
        best, spent = search(tmp_path / f"{seed}", oracle, seed, max_trials=trials)
        by_chance, _ = search(tmp_path / f"random{seed}", "random", seed, spent, max_trials=1000)
        gains.append(log10(1 - by_chance) - log10(1 - best))
    # The gain is more than twice the standard error of its mean.
    assert mean(gains) > 2 * stdev(gains) / len(gains) ** 0.5, gains


def test_a_bayesian_search_uses_one_blas_thread(tmp_path, monkeypatch):
    threads = []

    def populate_space(self, trial_id):
        threads.extend(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        return self._random_populate_space()

    monkeypatch.setattr(keras_tuner.oracles.BayesianOptimizationOracle, "populate_space", populate_space)
    with threadpool_limits(limits=2, user_api="blas"):
        step(opened(tmp_path / "search", "bayesian"))
    assert set(threads) == {1}


def test_a_grid_tries_every_combination_once(tmp_path):
    grid = {
        "model.dropout": {"type": "choice", "values": [0.0, 0.5]},
        "model.encoder.clusters": {"type": "choice", "values": [8, 16, 32, 64]},
    }
    built = opened(tmp_path / "grid", "grid", space=grid, max_trials=100)
    while step(built, lambda *_: 0.0):
        pass
    tried = [tuple(active_values(trial.hyperparameters).values()) for trial in built.trials.values()]
    assert sorted(tried) == [(dropout, clusters) for dropout in (0.0, 0.5) for clusters in (8, 16, 32, 64)]


@pytest.mark.parametrize("oracle", ["random", "bayesian", "hyperband", "grid"])
def test_a_search_killed_after_any_save_repeats_no_ended_trial_and_ends_as_planned(tmp_path, monkeypatch, oracle):
    import tuner.oracles

    folder, snapshots, save = tmp_path / "search", tmp_path / "snapshots", tuner.oracles._replace

    def snap(*arguments):
        save(*arguments)
        shutil.copytree(folder, snapshots / f"{len(list(snapshots.glob('*'))):03}")

    snapshots.mkdir()
    monkeypatch.setattr(tuner.oracles, "_replace", snap)
    built = opened(folder, oracle, max_trials=4)
    for _ in range(4):
        step(built)
    monkeypatch.undo()
    total = len(built.trials)
    saved = sorted(snapshots.glob("*"))
    assert len(saved) >= 3 * total
    for snapshot in saved:
        again = opened(snapshot, oracle, max_trials=4)
        ended = {name for name, trial in again.trials.items() if trial.status == TrialStatus.COMPLETED}
        while len([trial for trial in again.trials.values() if trial.status == TrialStatus.COMPLETED]) < total:
            trial = again.create_trial("tuner0")
            assert trial.status == TrialStatus.RUNNING and trial.trial_id not in ended
            again.update_trial(trial.trial_id, {"val_gap": 0.5})
            trial.status = TrialStatus.COMPLETED
            again.end_trial(trial)
        assert len(again.trials) == total and sorted(again.end_order) == sorted(again.trials)


def test_the_best_trials_are_scored_ones(tmp_path):
    built = opened(tmp_path / "search", "random", max_trials=3)
    for score in (0.2, None, 0.7):
        trial = built.create_trial("tuner0")
        if score is not None:
            built.update_trial(trial.trial_id, {"val_gap": score})
        trial.status = TrialStatus.FAILED if score is None else TrialStatus.COMPLETED
        built.end_trial(trial)
    assert [trial.score for trial in built.get_best_trials(None)] == [0.7, 0.2]
