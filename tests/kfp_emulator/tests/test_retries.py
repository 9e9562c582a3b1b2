"""Retries by Argo's rules: each case was seen on KFP 2.17 with Argo 4.0.7, or read in Argo's source."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kfp_emulator.emulator import Emulator, Fault
from kfp_emulator.retries import NoRetry, RetryStrategy
from kfp_emulator.tests.small_components import shell

HOUR = 3600


def policy(**fields: object) -> dict:
    whole = {"maxRetryCount": 2, "backoffDuration": "60s", "backoffFactor": 2.0, "backoffMaxDuration": "3600s"}
    return {"retryPolicy": {key: value for key, value in (whole | fields).items() if value is not None}}


@pytest.mark.parametrize(
    ("fields", "attempts", "elapsed", "lost", "reason"),
    [
        ({}, 1, 5 * HOUR, False, "Max duration limit exceeded"),
        ({"backoffMaxDuration": None}, 1, 1, False, "Max duration limit exceeded"),
        ({}, 1, HOUR - 30, False, "Backoff would exceed max duration limit"),
        ({"backoffFactor": 1.5}, 1, 1, False, "cannot be resolved to an int"),
        ({}, 1, 1, True, "Node not set to be retried"),
        ({}, 3, 1, False, "No more retries left"),
    ],
)
def test_a_failed_task_is_not_retried(fields: dict, attempts: int, elapsed: float, lost: bool, reason: str):
    with pytest.raises(NoRetry, match=reason):
        RetryStrategy.of(policy(**fields)).wait(attempts, elapsed, lost)


def test_each_wait_is_longer_by_the_factor():
    strategy = RetryStrategy.of(policy(backoffFactor=3))
    assert [strategy.wait(attempts, 1, lost=False) for attempts in (1, 2)] == [60, 180]


@pytest.mark.parametrize(
    ("minutes", "lost", "reason"),
    [
        (300, False, "Max duration limit exceeded"),
        (40, False, ""),
        (0, True, "Node not set to be retried"),
    ],
)
def test_a_killed_step_is_retried_for_the_rest_of_the_window_unless_its_node_is_lost(
    emulator: Callable[..., Emulator], compiled: Callable[..., Path], minutes: int, lost: bool, reason: str
):
    script = "case $KFP_POD_NAME in *-1) echo ready; sleep infinity;; *) echo done > $0;; esac"

    def pipeline():
        task = shell(script=script)
        task.set_retry(2, backoff_duration="60s", backoff_factor=2.0, backoff_max_duration="3600s")

    fault = Fault("shell", after="ready", seconds=60 * minutes, lost=lost)
    task = emulator().run(compiled(pipeline), faults=[fault]).tasks["shell"]
    if reason:
        assert (task.state, task.attempts) == ("FAILED", 1) and f"SIGKILL) ({reason})" in task.error
    else:
        assert (task.state, task.attempts) == ("SUCCEEDED", 2)
        assert task.deadlines[1] / 60 == pytest.approx(19, abs=1)
