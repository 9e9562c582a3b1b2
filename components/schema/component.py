"""ImportSchemaGen: TFX's, of a curated schema; it runs again when the schema is edited."""

import hashlib
from pathlib import Path
from typing import Any

from tfx import v1 as tfx

from components.resolving_driver import ResolvingDriver
from models.features import Level

# Beside this file.
SCHEMAS: dict[Level, str] = {"video": "video.pbtxt", "frame": "frame.pbtxt"}


class ImportSchemaGenDriver(ResolvingDriver):
    """Adds the content of the schema to the cache key, where TFX has only the name of its file."""

    def resolve(self, input_dict: dict[str, list[tfx.dsl.Artifact]], exec_properties: dict[str, Any]) -> dict[str, Any]:
        """Adds a hash of the file."""
        content = Path(exec_properties["schema_file"]).read_bytes()
        return {**exec_properties, "fingerprint": hashlib.sha256(content).hexdigest()}


class ImportSchemaGen(tfx.components.ImportSchemaGen):
    """TFX's with the driver above.

    Args:
        level: of the packed examples that the schema describes.
    """

    DRIVER_CLASS = ImportSchemaGenDriver

    def __init__(self, level: Level):
        super().__init__(schema_file=str(schema_file(level)))


def schema_file(level: Level) -> Path:
    """The curated schema of packed examples of a level."""
    return Path(__file__).with_name(SCHEMAS[level])
