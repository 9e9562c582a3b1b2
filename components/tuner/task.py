"""What the Tuner is given beside its files: TFX's `custom_config` as one object."""

from typing import Any

from components.trainer.task import TrainingTask
from tuner.settings import TuneSettings


class SearchTask(TrainingTask):
    """A training whose hyperparameters are searched.

    Attributes:
        tune: settings of the search.
        executor_sources: fingerprint of the code around the search; `sources` is that of what a trial runs.
    """

    tune: TuneSettings
    executor_sources: str

    def identity(self) -> dict[str, Any]:
        """All that changes the result: neither how many trials run at a time nor what a page shows of them."""
        identity = super().identity()
        del identity["executor_sources"], identity["tune"]["workers"]
        return identity
