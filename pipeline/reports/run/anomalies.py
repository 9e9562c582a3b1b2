"""Anomalies that ExampleValidator found in the statistics, as text."""

from dataclasses import dataclass

from tensorflow_data_validation.utils.anomalies_util import load_anomalies_binary

from components.example_gen.splits import SPLITS


@dataclass(frozen=True)
class Anomaly:
    """An anomaly: its place, TFDV's name for it and the measured value; `feature` is "" for the whole split."""

    split: str
    feature: str
    kind: str
    detail: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.split, self.feature, self.kind, self.detail) if part)


def read_anomalies(uri: str) -> list[Anomaly]:
    """All anomalies in an ExampleAnomalies artifact, ordered by split and feature."""
    return [anomaly for split in SPLITS for anomaly in _of_split(uri, split)]


def describe_anomalies(uri: str) -> list[str]:
    """A line for each anomaly, for example `test: num_frames: Out-of-range values: Unexpectedly large value: 400`."""
    return [str(anomaly) for anomaly in read_anomalies(uri)]


def _of_split(uri: str, split: str) -> list[Anomaly]:
    message = load_anomalies_binary(f"{uri}/Split-{split}/SchemaDiff.pb")
    infos = sorted(message.anomaly_info.items())
    if message.HasField("dataset_anomaly_info"):
        infos.insert(0, ("", message.dataset_anomaly_info))
    anomalies = [Anomaly(split, "", "No data", "the statistics hold no videos")] if message.data_missing else []
    for feature, info in infos:
        # An info joins its reasons into one text, which is used only if there are no reasons.
        for reason in info.reason or [info]:
            anomalies.append(Anomaly(split, feature, reason.short_description.rstrip("."), reason.description))
    return anomalies
