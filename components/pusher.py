"""Pusher: TFX's, without incomplete or repeated versions, and with the statistics of the model's data."""

import time
import uuid
from typing import Any

import tensorflow as tf
from tfx import v1 as tfx
from tfx.components.pusher import executor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import artifact_utils, component_spec
from tfx.utils import io_utils

from components.dataset_statistics.artifact import DataStatistics
from components.dataset_statistics.statistics import STATISTICS
from components.served_models import EXTRA, SAVED_MODEL, ModelCard, find_champion, is_version, list_folder, versions

# Prefix of a version's name while it is copied; the time follows, in seconds since 1970.
PUSHING = ".pushing-"

# No copy takes longer.
SECONDS_TO_PUSH = 24 * 3600


class PusherSpec(component_spec.ComponentSpec):
    """Parameters, inputs and outputs of the Pusher."""

    PARAMETERS = {"push_directory": component_spec.ExecutionParameter(type=str)}
    INPUTS = {
        "model": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.Model),
        "model_blessing": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.ModelBlessing),
        "statistics": component_spec.ChannelParameter(type=DataStatistics),
    }
    OUTPUTS = {"pushed_model": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.PushedModel)}


class PusherExecutor(executor.Executor):
    """Copies under a temporary name, then renames: a killed push leaves no incomplete version for a server to load."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes a blessed model; `pushed` and `pushed_version` of the output record what serves."""
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        folder, model = exec_properties["push_directory"], self.GetModelPath(input_dict)
        champion = find_champion(folder)
        if champion and champion.card.model_id == ModelCard.read(model).model_id:
            self._MarkNotPushed(pushed)
            pushed.set_string_custom_property("pushed_version", champion.version)
            return
        _remove_old_attempts(folder)
        # Seconds since 1970 as TFX does, but never at or below a version that is already there, complete or not.
        version = str(max(int(time.time()), *(int(old) + 1 for old in list_folder(folder) if is_version(old)), 0))
        temporary = f"{folder}/{PUSHING}{int(time.time())}-{uuid.uuid4().hex}"
        io_utils.copy_dir(model, temporary)
        statistics = artifact_utils.get_single_uri(input_dict["statistics"])
        io_utils.copy_file(f"{statistics}/{STATISTICS}", f"{temporary}/{EXTRA}/{STATISTICS}")
        _publish(temporary, f"{folder}/{version}")
        self._MarkPushed(pushed, pushed_destination=f"{folder}/{version}", pushed_version=version)


class Pusher(base_component.BaseComponent):
    """Publishes a blessed model for servers to load, with the statistics that later data are compared with.

    Args:
        model: the candidate.
        model_blessing: the Evaluator's.
        statistics: DatasetStatistics'.
        push_directory: a model server's folder, with a folder for each version.
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PusherExecutor)

    def __init__(
        self,
        model: tfx.types.BaseChannel,
        model_blessing: tfx.types.BaseChannel,
        statistics: tfx.types.BaseChannel,
        push_directory: str,
    ):
        spec = PusherSpec(
            model=model,
            model_blessing=model_blessing,
            statistics=statistics,
            push_directory=push_directory,
            pushed_model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.PushedModel),
        )
        super().__init__(spec=spec)


def _publish(copied: str, version: str) -> None:
    """Gives a version its name: in one step on a disk; in an object store file by file, `saved_model.pb` last."""
    if "://" not in version:
        tf.io.gfile.rename(copied, version)
        return
    names = [
        f"{parent.removeprefix(copied).strip('/')}/{name}".lstrip("/")
        for parent, _, files in tf.io.gfile.walk(copied)
        for name in files
    ]
    for name in sorted(names, key=lambda name: name == SAVED_MODEL):
        target = f"{version}/{name}"
        tf.io.gfile.makedirs(target.rpartition("/")[0])
        tf.io.gfile.rename(f"{copied}/{name}", target)
    tf.io.gfile.rmtree(copied)


def _remove_old_attempts(folder: str) -> None:
    """Removes leftovers of killed pushes, but nothing that another push may be copying."""
    complete = versions(folder)
    for name in list_folder(folder):
        began = name.removeprefix(PUSHING).partition("-")[0]
        attempt = name.startswith(PUSHING) or ("://" in folder and name not in complete)
        if attempt and began.isdecimal() and time.time() - int(began) > SECONDS_TO_PUSH:
            tf.io.gfile.rmtree(f"{folder}/{name}")
