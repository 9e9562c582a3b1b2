"""What a worker of an engine reports of itself; runs in the workers of a preflight."""

import json
import os
import platform
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from components.publishing import write_whole
from components.source_fingerprint import package_fingerprint


@dataclass(frozen=True)
class WorkerReport:
    """A worker: where it runs, what it runs, and which paths it does not see."""

    host: str
    beam: str
    python: str
    sources: str
    unseen: tuple[str, ...] = ()

    @classmethod
    def of_this_process(cls, paths: Sequence[str] = ()) -> "WorkerReport":
        """The report of the process that asks.

        Args:
            paths: files and folders that workers read or write.
        """
        return cls(
            host=platform.node(),
            beam=beam.__version__,
            python=".".join(platform.python_version_tuple()[:2]),
            sources=package_fingerprint(),
            unseen=tuple(path for path in paths if not FileSystems.exists(path)),
        )

    @classmethod
    def read(cls, path: str) -> "WorkerReport":
        """A report that `write_report` wrote."""
        with FileSystems.open(path) as file:
            content = json.load(file)
        return cls(**content | {"unseen": tuple(content["unseen"])})


def write_report(number: int, folder: str, paths: Sequence[str]) -> None:
    """Writes the report of this worker into a folder; nothing where this worker does not see the folder.

    Args:
        number: of the element.
        folder: which the submitting process has made.
        paths: see `WorkerReport.of_this_process`.
    """
    if "://" in folder or os.path.isdir(folder):
        report = WorkerReport.of_this_process(paths)
        write_whole(f"{folder}/worker-{uuid.uuid4().hex}.json", json.dumps(asdict(report)).encode())


def read_reports(folder: str) -> list[WorkerReport]:
    """The reports in a folder, each worker's once."""
    if "://" in folder:
        files = [file.path for file in FileSystems.match([f"{folder}/worker-*"])[0].metadata_list]
    else:
        files = [str(path) for path in Path(folder).glob("worker-*")]
    return sorted(set(map(WorkerReport.read, files)), key=lambda report: report.host)
