"""Checks an engine before any work: a small job whose workers say what they run and what they see."""

import logging
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import apache_beam as beam
import grpc
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_job_api_pb2 as api

from components.publishing import delete
from models.errors import InputError
from pipeline.beam.engine import EngineRunner, EngineTimeout
from pipeline.beam.jobs import ANSWER_SECONDS, EngineError, connect
from pipeline.beam.options import beam_args, check_options
from pipeline.beam.probe import WorkerReport, read_reports, write_report
from pipeline.beam_settings import PREFLIGHT, BeamSettings

# Seconds that the job may take, and between two lines meanwhile. Workers import TensorFlow, which takes 20 s.
TIME_LIMIT, PROGRESS_SECONDS = 120.0, 15.0

# Elements of the job: enough that an engine hands some to each of a few workers.
ELEMENTS = 32

_logger = logging.getLogger(__name__)


def preflight(settings: BeamSettings, folder: str, paths: Sequence[str] = (), job_file: Path | None = None) -> None:
    """Runs a small job on an engine that writes reports into a folder, and reads them.

    Does nothing for other runners: those in this process need no check, and Dataflow takes longer to start a worker.

    Args:
        settings: where and how Beam runs.
        folder: of the artifacts; made if it does not exist.
        paths: other files and folders that workers need.
        job_file: see `beam_args`.

    Raises:
        InputError: names what is wrong with the engine, its workers or the volume.
    """
    if settings.runner != "PortableRunner":
        return
    endpoint = settings.values["job_endpoint"]
    check_options(settings, _options_of(endpoint))
    reports_in = f"{folder}/{PREFLIGHT}{uuid.uuid4().hex}"
    FileSystems.mkdirs(reports_in)
    try:
        _logger.info("preflight: checks the workers of %s", endpoint)
        _run(settings, reports_in, [folder, *paths], job_file)
        reports = read_reports(reports_in)
    finally:
        delete(f"{reports_in}/")
    if not reports:
        raise InputError(
            f"workers of {endpoint} do not see {folder}: mount the volume that holds it there, at the same path"
        )
    own = WorkerReport.of_this_process()
    for report in reports:
        _require_same(own, report, endpoint)
        if report.unseen:
            raise InputError(
                f"worker {report.host} of {endpoint} does not see {report.unseen[0]}: mount the volume that holds it "
                "there, at the same path"
            )
    hosts = sorted({report.host for report in reports})
    _logger.info("preflight: workers on %s run this release and see its files", ", ".join(hosts))


def _run(settings: BeamSettings, reports_in: str, paths: Sequence[str], job_file: Path | None) -> None:
    endpoint = settings.values["job_endpoint"]
    runner = EngineRunner(TIME_LIMIT, lambda line: _logger.info("preflight: %s", line), PROGRESS_SECONDS)
    try:
        with beam.Pipeline(runner=runner, options=PipelineOptions(beam_args(settings, job_file))) as pipeline:
            numbers = pipeline | beam.Create(range(ELEMENTS)) | beam.Reshuffle()
            numbers | beam.Map(write_report, reports_in, list(paths))
    except EngineTimeout:
        raise InputError(
            f"workers of {endpoint} did not answer within {TIME_LIMIT:.0f} s, the job has been cancelled: look at the "
            "engine's log and whether it has free workers"
        ) from None
    except EngineError as error:
        if _MISSING_MODULE.search(str(error)):
            raise InputError(
                f"workers of {endpoint} run another release of this project ({error}): {_ONE_IMAGE}"
            ) from None
        raise InputError(f"the engine at {endpoint} fails a job without work: {error}") from None


_ONE_IMAGE = "start them from the image of this release"
_MISSING_MODULE = re.compile(
    r"No module named '(pipeline|components|models|tuner)\b|Can't get attribute|has no attribute 'write_report'"
)


def _require_same(own: WorkerReport, report: WorkerReport, endpoint: str) -> None:
    what = {"beam": "Beam", "python": "Python", "sources": "sources of this project, with the fingerprint"}
    for name in (field.name for field in fields(own) if field.name in what):
        theirs, ours = getattr(report, name), getattr(own, name)
        if theirs != ours:
            raise InputError(
                f"worker {report.host} of {endpoint} runs {what[name]} {theirs}, this process {ours}: {_ONE_IMAGE}"
            )


def _options_of(endpoint: str) -> Callable[..., None]:
    """Adds the options that a job service describes to a parser, as Beam does when it prepares a job."""
    request = api.DescribePipelineOptionsRequest()
    try:
        described = connect(endpoint).DescribePipelineOptions(request, timeout=ANSWER_SECONDS).options
    except grpc.RpcError:
        described = ()

    def add(parser: beam.options.pipeline_options._BeamArgumentParser) -> None:
        known = {text for action in parser._actions for text in action.option_strings}
        for option in described:
            if (name := f"--{option.name}") not in known:
                flag = option.type == api.PipelineOptionType.BOOLEAN
                parser.add_argument(name, **({"action": "store_true"} if flag else {"action": "append"}))

    return add
