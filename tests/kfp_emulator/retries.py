"""When Argo retries a failed task: processNodeRetries of argo-workflows 4.0.7, workflow/controller/operator.go.

KFP 2.17 passes a task's retry policy on in whole seconds, with 0 for what is left out (v2/compiler/argocompiler), and
sets neither a retryPolicy, so that Argo's default OnFailure holds, nor an expression.
"""

import math
from dataclasses import dataclass
from typing import Any, Self


class NoRetry(Exception):
    """The task has failed for good; the message is Argo's."""


@dataclass(frozen=True)
class RetryStrategy:
    """Argo's retry strategy of a task.

    Attributes:
        limit: number of retries.
        duration: seconds before the first retry.
        factor: of each wait to the one before.
        window: seconds from the start of the first attempt, within which all others end: Argo's maxDuration.
    """

    limit: int
    duration: float
    factor: float
    window: float

    @classmethod
    def of(cls, task: dict[str, Any]) -> Self:
        """Reads the `retryPolicy` of a task."""
        policy = task.get("retryPolicy", {})
        seconds = {key: float(policy.get(key, "0s").rstrip("s")) for key in ("backoffDuration", "backoffMaxDuration")}
        return cls(
            int(policy.get("maxRetryCount", 0)),
            seconds["backoffDuration"],
            float(policy.get("backoffFactor", 0)),
            seconds["backoffMaxDuration"],
        )

    def wait(self, attempts: int, elapsed: float, lost: bool) -> float:
        """Seconds until the next attempt.

        Args:
            attempts: how many have failed.
            elapsed: seconds since the first one's start.
            lost: whether the last one is in state Error, as its node or pod has gone, and not in state Failed.

        Raises:
            NoRetry: there is none.
        """
        if not self.limit:
            raise NoRetry
        if elapsed > self.window:
            raise NoRetry("Max duration limit exceeded")
        if not self.factor.is_integer():
            raise NoRetry(f"value for intstr {self.factor} cannot be resolved to an int")
        wait = self.duration * math.pow(self.factor or 1, attempts - 1)
        if elapsed + wait > self.window:
            raise NoRetry("Backoff would exceed max duration limit")
        if lost:
            raise NoRetry("Node not set to be retried")
        if attempts > self.limit:
            raise NoRetry("No more retries left")
        return wait
