"""All that the Trainer is given besides its files: TFX's `custom_config` as one object."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from models.features import TrainingLevel
from models.settings import ModelSettings
from models.training_settings import TrainingSettings


class TrainingTask(BaseModel):
    """A training: model, recipe, labels, and where its files are kept.

    Attributes:
        experiment: its name; "" where it has none.
        data: pattern of the raw shards.
        level: of the experiment.
        model: settings of the model.
        training: settings of the training; `warm_start` is the folder of a version, or false.
        names: of the labels, in the order of their ids.
        seed: of the run.
        state_dir: of what a killed training needs to resume; outside the artifacts, so that another attempt finds it.
        log_dir: TensorBoard's; "" for a folder among the artifacts.
        sources: fingerprint of the code.
        soft_targets: folder of the teachers' predictions, which the executor sets; "" without teachers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    experiment: str
    data: str
    level: TrainingLevel
    model: ModelSettings
    training: TrainingSettings
    names: tuple[str, ...]
    seed: int
    state_dir: str
    log_dir: str
    sources: str
    soft_targets: str = ""

    @classmethod
    def read(cls, custom_config: Mapping[str, Any]) -> Self:
        """The task that `custom_config()` wrote."""
        return cls.model_validate(custom_config)

    @property
    def rated(self) -> bool:
        """Whether it learns from rated segments."""
        return self.level == "segment"

    def custom_config(self) -> dict[str, Any]:
        """The task in the form that TFX's components take."""
        return self.model_dump(mode="json")

    def identity(self) -> dict[str, Any]:
        """All that may change the result, so not where files are kept."""
        return self.model_dump(mode="json", exclude={"state_dir", "log_dir"})
