"""ML Metadata as KFP uses it, with what is lost of an artifact on the way (backend/src/v2/metadata)."""

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Artifact:
    """An artifact in ML Metadata: untyped values in `metadata`, the type beside them."""

    id: int
    key: str
    type: str
    uri: str
    metadata: dict[str, Any] = field(default_factory=dict)

    def runtime(self) -> dict[str, Any]:
        """toRuntimeArtifact of v2/metadata/converter.go: drops the type, and the name is the id."""
        return {"name": str(self.id), "uri": self.uri, "metadata": dict(self.metadata)}


class Metadata:
    """Keeps artifacts over runs, with the losses of the conversion to ML Metadata and back."""

    def __init__(self) -> None:
        self.artifacts: dict[int, Artifact] = {}

    def record(self, key: str, schema: str, uri: str, metadata: dict[str, Any]) -> Artifact:
        """RecordArtifact of v2/metadata/client.go."""
        values = {name: _as_property(value) for name, value in metadata.items() if name != "_kfp_workspace"}
        values.setdefault("display_name", key)
        session = {"Provider": uri.partition("://")[0], "Params": {"fromEnv": "true"}}
        values.setdefault("store_session_info", json.dumps(session, separators=(",", ":")))
        artifact = Artifact(len(self.artifacts) + 1, key, schema, uri, values)
        self.artifacts[artifact.id] = artifact
        return artifact


def _as_property(value: Any) -> Any:
    """StructValueToMLMDValue of converter.go: numbers and booleans become doubles, lists and structs are wrapped."""
    match value:
        case None:
            raise ValueError("failed to convert RuntimeArtifact to MLMD artifact: unknown value type NullValue")
        case bool() | int() | float():
            return float(value)
        case list():
            return {"list": value}
        case dict():
            return {"struct": value}
    return value
