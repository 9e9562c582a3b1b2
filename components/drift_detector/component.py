"""The TFX component, which runs before the Trainer: a drift can end the run."""

from typing import Any

from apache_beam.io.filesystems import FileSystems
from tfx import v1 as tfx
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, component_spec

from components.champion import VERSION
from components.dataset_statistics.artifact import DataStatistics
from components.dataset_statistics.statistics import STATISTICS, Statistics
from components.drift_detector.drift import Drift, compare
from components.drift_detector.settings import DriftSettings
from components.resolving_driver import ResolvingDriver
from components.served_models import EXTRA, check_same_task, find_champion
from models.errors import InputError


class DataDrift(tfx.dsl.Artifact):
    """`drift.json`."""

    TYPE_NAME = "DataDrift"


class DriftDetectorSpec(component_spec.ComponentSpec):
    """Parameters, inputs and outputs of DriftDetector."""

    PARAMETERS = {
        "push_directory": component_spec.ExecutionParameter(type=str),
        "settings": component_spec.ExecutionParameter(type=str),
        "sources": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {"statistics": component_spec.ChannelParameter(type=DataStatistics)}
    OUTPUTS = {"drift": component_spec.ChannelParameter(type=DataDrift)}


class DriftDetectorDriver(ResolvingDriver):
    """Looks up the version that serves: only another one makes the comparison run again."""

    def resolve(self, input_dict: dict[str, list[tfx.dsl.Artifact]], exec_properties: dict[str, Any]) -> dict[str, Any]:
        """Adds the version that serves, "" where none does."""
        return {**exec_properties, VERSION: _champion_version(exec_properties["push_directory"])}


class DriftDetectorExecutor(base_executor.BaseExecutor):
    """Compares the statistics of the run with those pushed with the model that serves."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the drift.

        Raises:
            InputError: the data have another level or other labels than the model that serves, so a new model could not
                be compared with it; or they drifted and `data.drift.stop` is true.
        """
        statistics = Statistics.read(artifact_utils.get_single_uri(input_dict["statistics"]))
        settings = DriftSettings.model_validate_json(exec_properties["settings"])
        folder = exec_properties["push_directory"]
        version = exec_properties.get(VERSION, _champion_version(folder))
        drift = detect_drift(statistics, folder, version, settings)
        drift.write(artifact_utils.get_single_uri(output_dict["drift"]))
        if settings.stop and drift.findings:
            raise InputError(
                f"the training data drifted from those of version {version}, which serves, and data.drift.stop is "
                f"true: {'; '.join(drift.findings)}"
            )


class DriftDetector(base_component.BaseComponent):
    """Whether the training data still look like those of the model that serves.

    Args:
        statistics: DatasetStatistics'.
        push_directory: the folder that the Pusher pushes to.
        settings: what counts as drift.
        sources: fingerprint of the code, so that an edit runs the step again.
    """

    SPEC_CLASS = DriftDetectorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(DriftDetectorExecutor)
    DRIVER_CLASS = DriftDetectorDriver

    def __init__(self, statistics: tfx.types.BaseChannel, push_directory: str, settings: DriftSettings, sources: str):
        spec = DriftDetectorSpec(
            statistics=statistics,
            push_directory=push_directory,
            settings=settings.model_dump_json(),
            sources=sources,
            drift=tfx.dsl.Channel(type=DataDrift),
        )
        super().__init__(spec=spec)


def detect_drift(statistics: Statistics, push_directory: str, version: str, settings: DriftSettings) -> Drift:
    """Compares data with the training data of a pushed model.

    Args:
        statistics: of the data.
        push_directory: the folder that the Pusher pushes to.
        version: of the model in it, "" where none serves.
        settings: the limits.

    Raises:
        InputError: the data have another level or other labels than the model.
    """
    if not version:
        return Drift(version="", not_compared="no model serves yet: nothing to compare the data with")
    served = f"{push_directory}/{version}"
    check_same_task(served, statistics.level, list(statistics.names))
    if not FileSystems.exists(f"{served}/{EXTRA}/{STATISTICS}"):
        return Drift(version=version, not_compared=f"version {version}, which serves, has no statistics of its data")
    return compare(Statistics.read(f"{served}/{EXTRA}"), statistics, version, settings)


def _champion_version(push_directory: str) -> str:
    champion = find_champion(push_directory)
    return champion.version if champion else ""
