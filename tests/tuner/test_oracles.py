"""The oracles on a function with a known maximum, and what a kill leaves of them."""

import shutil
from math import log10
from statistics import mean, stdev

import pytest
from keras_tuner.src.engine.trial import TrialStatus

from tuner.hyperparameters import chosen
from tuner.oracles import build_oracle
from tuner.settings import TuneSettings

SPACE = {
    "training.learning_rate": {"type": "float", "min": 1e-5, "max": 1e-1, "log": True},
    "model.dropout": {"type": "float", "min": 0.0, "max": 0.9},
}
EPOCHS = 9


def quality(values, epochs=EPOCHS):
    """1 for the best values trained forever; less for others and for few epochs."""
    rate, dropout = log10(values["training.learning_rate"]) + 3, values["model.dropout"] - 0.3
    return 1 - (rate / 2) ** 2 - dropout**2 - 0.3 / epochs


def settings(oracle, **more):
    content = {"space": SPACE, "oracle": oracle, "max_epochs": EPOCHS, **more}
    return TuneSettings.model_validate(content)


def opened(folder, oracle, seed=0, **more):
    made = build_oracle(settings(oracle, **more), seed)
    made._set_project_dir(str(folder.parent), folder.name)
    made.verbose = 0
    if (folder / "oracle.json").exists():
        made.reload()
    return made


def step(oracle, judge=quality):
    """Runs a trial; returns the epochs it took, None at the end."""
    trial = oracle.create_trial("tuner0")
    if trial.status == TrialStatus.STOPPED:
        return None
    epochs = trial.hyperparameters.values.get("tuner/epochs", EPOCHS)
    oracle.update_trial(trial.trial_id, {"val_gap": judge(chosen(trial.hyperparameters), epochs)})
    trial.status = TrialStatus.COMPLETED
    oracle.end_trial(trial)
    return epochs


def search(folder, oracle, seed, budget=1e9, **more):
    """The quality, trained forever, of what a search finds best within a number of epochs; and those it took."""
    made, spent = opened(folder, oracle, seed, **more), 0
    while spent < budget and (epochs := step(made)):
        spent += epochs
    [best] = made.get_best_trials()
    return quality(chosen(best.hyperparameters), 1e9), spent


@pytest.mark.parametrize(("oracle", "trials", "searches"), [("bayesian", 20, 5), ("hyperband", 1, 20)])
def test_they_beat_random_search_with_as_many_epochs(tmp_path, oracle, trials, searches):
    gains = []
    for seed in range(searches):
        found, spent = search(tmp_path / f"{seed}", oracle, seed, max_trials=trials)
        by_chance, _ = search(tmp_path / f"random{seed}", "random", seed, spent, max_trials=1000)
        gains.append(log10(1 - by_chance) - log10(1 - found))
    # By more than twice the standard error of the mean.
    assert mean(gains) > 2 * stdev(gains) / len(gains) ** 0.5, gains


def test_a_grid_tries_every_combination_once(tmp_path):
    grid = {
        "model.dropout": {"type": "choice", "values": [0.0, 0.5]},
        "model.encoder.clusters": {"type": "choice", "values": [8, 16, 32, 64]},
    }
    made = opened(tmp_path / "grid", "grid", space=grid, max_trials=100)
    while step(made, lambda *_: 0.0):
        pass
    tried = [tuple(chosen(trial.hyperparameters).values()) for trial in made.trials.values()]
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
    made = opened(folder, oracle, max_trials=4)
    for _ in range(4):
        step(made)
    monkeypatch.undo()
    total = len(made.trials)
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
    made = opened(tmp_path / "search", "random", max_trials=3)
    for score in (0.2, None, 0.7):
        trial = made.create_trial("tuner0")
        if score is not None:
            made.update_trial(trial.trial_id, {"val_gap": score})
        trial.status = TrialStatus.FAILED if score is None else TrialStatus.COMPLETED
        made.end_trial(trial)
    assert [trial.score for trial in made.get_best_trials(None)] == [0.7, 0.2]
