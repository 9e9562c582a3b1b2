"""What the values of a trial of a Bayesian search cost, with one BLAS thread and with one for each core."""

import tempfile
import time
from collections.abc import Callable
from functools import partial

import keras_tuner
import numpy as np
from keras_tuner.src.engine.trial import TrialStatus

from tuner.oracles import build_oracle
from tuner.settings import TuneSettings

PARAMETERS, TRIALS = 5, (16, 20, 40)

# With one thread the CPU time may be at most this share of the time with one for each core.
ALLOWED = 0.7


def main() -> None:
    """Prints the seconds and their ratio for several numbers of trials; fails if one thread saves too little."""
    too_slow = False
    print("| trials | CPU s, all threads | CPU s, one thread | ratio |")
    print("|---|---|---|---|")
    for trials in TRIALS:
        oracle = searched(trials)
        slow = cpu_seconds(partial(keras_tuner.oracles.BayesianOptimizationOracle.populate_space, oracle, "next"))
        fast = cpu_seconds(partial(oracle.populate_space, "next"))
        print(f"| {trials} | {slow:.2f} | {fast:.2f} | {fast / slow:.2f} |", flush=True)
        too_slow |= fast / slow > ALLOWED
    if too_slow:
        raise SystemExit(1)


def searched(trials: int) -> keras_tuner.Oracle:
    """An oracle after so many trials with random values, whose scores have one maximum and noise."""
    space = {f"p{number}": {"type": "float", "min": 0.0, "max": 1.0} for number in range(PARAMETERS)}
    content = {"space": space, "oracle": "bayesian", "max_trials": 1000}
    oracle = build_oracle(TuneSettings.model_validate(content), seed=0)
    oracle.num_initial_points = trials
    oracle._set_project_dir(tempfile.mkdtemp(), "search")
    oracle.verbose = 0
    for noise in np.random.default_rng(0).normal(0, 0.01, trials):
        trial = oracle.create_trial("tuner0")
        distance = sum((value - 0.3) ** 2 for value in trial.hyperparameters.values.values())
        oracle.update_trial(trial.trial_id, {"val_gap": noise - distance})
        trial.status = TrialStatus.COMPLETED
        oracle.end_trial(trial)
    return oracle


def cpu_seconds(call: Callable[[], object]) -> float:
    """CPU time of a call, of all threads."""
    call()  # the threads are started
    started = time.process_time()
    call()
    return time.process_time() - started


if __name__ == "__main__":
    main()
