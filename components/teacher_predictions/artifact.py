"""The artifact type of TeacherPredictions, and how Trainer and Tuner are told where it lies."""

from collections.abc import Mapping
from typing import Any

from tfx import v1 as tfx
from tfx.types import artifact_utils
from tfx.utils import json_utils

# The name of the artifact, and of the field of a TrainingTask with its folder.
SOFT_TARGETS = "soft_targets"

# Custom property: the share of all probabilities beyond the labels that are stored.
LEFT_OUT = "left_out"


class SoftTargets(tfx.dsl.Artifact):
    """`Split-train/`, with a file for each file of records."""

    TYPE_NAME = "SoftTargets"


def with_soft_targets(
    input_dict: Mapping[str, list[tfx.dsl.Artifact]], exec_properties: dict[str, Any]
) -> dict[str, Any]:
    """The properties of Trainer or Tuner, in whose task the folder of the soft targets is set if there are any."""
    if not input_dict.get(SOFT_TARGETS):
        return exec_properties
    task = json_utils.loads(exec_properties["custom_config"])
    task[SOFT_TARGETS] = artifact_utils.get_single_uri(input_dict[SOFT_TARGETS])
    return {**exec_properties, "custom_config": json_utils.dumps(task)}
