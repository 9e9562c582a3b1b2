"""Pusher: TFX's, publishing in one step and only what does not serve already."""

import time
import uuid
from typing import Any

import tensorflow as tf
from google.protobuf import json_format
from tfx import v1 as tfx
from tfx.components.pusher import executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.served_models import newest, read_model_card, versions


class PusherExecutor(executor.Executor):
    """Copies under a temporary name, then renames: a killed push leaves no half version for a server to load."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes a blessed model; `pushed` and `pushed_version` of the output say what serves."""
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        destination = tfx.proto.PushDestination()
        json_format.Parse(exec_properties["push_destination"], destination)
        folder, model = destination.filesystem.base_directory, self.GetModelPath(input_dict)
        serving = newest(folder)
        if serving and serving[1]["model_id"] == read_model_card(model)["model_id"]:
            self._MarkNotPushed(pushed)
            pushed.set_string_custom_property("pushed_version", serving[0])
            return
        # Seconds since 1970 as TFX does, but never below a version that is already there.
        version = str(max(int(time.time()), *(int(old) + 1 for old in versions(folder)), 0))
        temporary = f"{folder}/.pushing-{uuid.uuid4().hex}"
        io_utils.copy_dir(model, temporary)
        tf.io.gfile.rename(temporary, f"{folder}/{version}")
        self._MarkPushed(pushed, pushed_destination=f"{folder}/{version}", pushed_version=version)


class Pusher(tfx.components.Pusher):
    """TFX's Pusher with the executor above."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PusherExecutor)
