"""What ExampleValidator found wrong with the statistics, in words."""

from dataclasses import dataclass

from tensorflow_data_validation.utils.anomalies_util import load_anomalies_binary

from components.example_gen.splits import SPLITS


@dataclass(frozen=True)
class Anomaly:
    """One finding: where, TFDV's name for it and what it measured; `feature` is empty for the whole split."""

    split: str
    feature: str
    kind: str
    detail: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.split, self.feature, self.kind, self.detail) if part)


def read_anomalies(uri: str) -> list[Anomaly]:
    """All findings of an ExampleAnomalies artifact, by split in their usual order, then by feature."""
    return [anomaly for split in SPLITS for anomaly in _of_split(uri, split)]


def describe_anomalies(uri: str) -> list[str]:
    """A line for each finding, say `test: num_frames: Out-of-range values: Unexpectedly large value: 400`."""
    return [str(anomaly) for anomaly in read_anomalies(uri)]


def _of_split(uri: str, split: str) -> list[Anomaly]:
    found = load_anomalies_binary(f"{uri}/Split-{split}/SchemaDiff.pb")
    infos = sorted(found.anomaly_info.items())
    if found.HasField("dataset_anomaly_info"):
        infos.insert(0, ("", found.dataset_anomaly_info))
    anomalies = [Anomaly(split, "", "No data", "the statistics hold no videos")] if found.data_missing else []
    for feature, info in infos:
        # An info joins several reasons into one text; its own words serve only where there is no reason.
        for reason in info.reason or [info]:
            anomalies.append(Anomaly(split, feature, reason.short_description.rstrip("."), reason.description))
    return anomalies
