"""A driver that looks at files and served models before TFX looks for a cached result."""

import abc
from typing import Any

from tfx import v1 as tfx
from tfx.dsl.components.base.base_driver import BaseDriver
from tfx.orchestration import data_types_utils
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration import driver_output_pb2


class ResolvingDriver(BaseDriver, portable_driver.BaseDriver, abc.ABC):
    """Replaces a node's exec properties by resolved ones, which are part of its cache key."""

    def __init__(self, metadata_handle: Any):
        BaseDriver.__init__(self, metadata_handle)
        portable_driver.BaseDriver.__init__(self, metadata_handle)

    @abc.abstractmethod
    def resolve(self, input_dict: dict[str, list[tfx.dsl.Artifact]], exec_properties: dict[str, Any]) -> dict[str, Any]:
        """All exec properties, the resolved ones among them; raises InputError where there is nothing usable."""

    def run(self, execution_info: ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """What TFX's launcher calls."""
        result = driver_output_pb2.DriverOutput()
        resolved = self.resolve(execution_info.input_dict, execution_info.exec_properties)
        for name, value in resolved.items():
            data_types_utils.set_metadata_value(result.exec_properties[name], value)
        return result
