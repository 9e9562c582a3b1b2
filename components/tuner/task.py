"""All that the Tuner is given besides its files: TFX's `custom_config` as one object."""

from typing import Any

from components.example_gen.synthetic import SyntheticData
from components.trainer.task import TrainingTask
from tuner.settings import TuneSettings


class SearchTask(TrainingTask):
    """A training whose hyperparameters are searched.

    Attributes:
        tune: settings of the search.
        synthetic: description of synthetic shards, for the page; None for others.
        executor_sources: fingerprint of the code around the search, such as its page; `sources` is that of the trials.
    """

    tune: TuneSettings
    synthetic: SyntheticData | None
    executor_sources: str

    def identity(self) -> dict[str, Any]:
        """All that may change the trials, so neither the number of workers nor the page."""
        identity = super().identity()
        del identity["executor_sources"], identity["synthetic"], identity["tune"]["workers"]
        return identity
