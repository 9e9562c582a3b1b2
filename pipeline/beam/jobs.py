"""Jobs at a Beam job service: their states, their ends, and a record of each for whoever comes after `kill -9`."""

import json
import logging
import re
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from apache_beam.metrics import monitoring_infos
from apache_beam.portability.api import beam_job_api_pb2 as api
from apache_beam.portability.api import beam_job_api_pb2_grpc
from apache_beam.runners.portability.portable_runner import TERMINAL_STATES

from models.errors import InputError, reason
from models.whole_files import write_file

# Seconds that a job service has to accept a connection, and to answer a question about a job.
CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 30.0

# Seconds that an engine has to end a cancelled job.
CANCEL_SECONDS = 60.0

# Seconds between two questions for the state of a job.
POLL_SECONDS = 0.5

_logger = logging.getLogger(__name__)


class EngineError(Exception):
    """A job failed on the engine; the message is its reason in one line."""


class EngineJob:
    """A job at a job service.

    Args:
        service: stub of the job service.
        job_id: that the service gave it.
    """

    def __init__(self, service: Any, job_id: str) -> None:
        self._service, self.id = service, job_id

    def state(self) -> int:
        """Its state; CANCELLED where the service, started again since, does not know it any more.

        Raises:
            EngineError: the job service does not answer.
        """
        try:
            return int(self._service.GetState(api.GetJobStateRequest(job_id=self.id), timeout=ANSWER_SECONDS).state)
        except grpc.RpcError as error:
            # Prism answers UNKNOWN: job with id ... not found.
            if error.code() == grpc.StatusCode.NOT_FOUND or "not found" in (error.details() or ""):
                return int(api.JobState.CANCELLED)
            raise EngineError(sentence(error)) from error

    def cancel(self) -> None:
        """Cancels it and waits for its end.

        Raises:
            EngineError: the job service does not answer, or the job does not end in time.
        """
        try:
            self._service.Cancel(api.CancelJobRequest(job_id=self.id), timeout=ANSWER_SECONDS)
        except grpc.RpcError as error:
            raise EngineError(sentence(error)) from error
        deadline = time.monotonic() + CANCEL_SECONDS
        while self.state() not in TERMINAL_STATES:
            if time.monotonic() > deadline:
                raise EngineError(f"job {self.id} does not end after it was cancelled: stop it on the engine")
            time.sleep(POLL_SECONDS)

    def progress(self, state: int, seconds: float) -> str:
        """A line on a running job.

        Args:
            state: of the job.
            seconds: since it was started.
        """
        line = f"{api.JobState.Enum.Name(state).lower()} on the engine for {seconds:.0f} s"
        elements = 0
        with suppress(grpc.RpcError):  # not all job services have metrics of running jobs
            request = api.GetJobMetricsRequest(job_id=self.id)
            metrics = self._service.GetJobMetrics(request, timeout=ANSWER_SECONDS).metrics
            counts = [info for info in metrics.attempted if info.urn == monitoring_infos.ELEMENT_COUNT_URN]
            elements = max(map(monitoring_infos.extract_counter_value, counts), default=0)
        return f"{line}, {elements:,} elements" if elements else line


class JobRecord:
    """The file that names a job while it runs: `{"endpoint": ..., "name": ...}`.

    Names are unique. Ids are not: Prism counts from one again after it was started again.
    """

    def __init__(self, file: Path | None, endpoint: str) -> None:
        self.name = f"yt8m-{uuid.uuid4().hex}"
        self._file, self._endpoint = file, endpoint

    def write(self) -> None:
        """Notes that the job may be running from now on."""
        if self._file:
            write_file(self._file, json.dumps({"endpoint": self._endpoint, "name": self.name}))

    def remove(self) -> None:
        """Notes that it has ended."""
        if self._file:
            self._file.unlink(missing_ok=True)


def connect(endpoint: str) -> Any:
    """The job service at `host:port`.

    Raises:
        InputError: it cannot be reached.
    """
    channel = grpc.insecure_channel(endpoint)
    try:
        grpc.channel_ready_future(channel).result(timeout=CONNECT_SECONDS)
    except grpc.FutureTimeoutError:
        channel.close()
        raise InputError(
            f"beam.options: --job_endpoint={endpoint} cannot be reached within {CONNECT_SECONDS:.0f} s: start the job "
            "service there, or name another host:port"
        ) from None
    return beam_job_api_pb2_grpc.JobServiceStub(channel)


def cancel_recorded_job(file: Path) -> None:
    """Cancels the job of a process that was killed, so that two never write to the same folder.

    Args:
        file: in which it was recorded, if there was one.

    Raises:
        InputError: whether the job has ended cannot be found out.
    """
    try:
        recorded = json.loads(file.read_text())
        endpoint, name = recorded["endpoint"], recorded["name"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: cannot be read ({reason(error)}): delete it once no job of this run works") from None
    try:
        service = connect(endpoint)
        for job in _jobs(service, name):
            if job.state() not in TERMINAL_STATES:
                _logger.info("cancels job %s of a killed run at %s", job.id, endpoint)
                job.cancel()
    except (InputError, EngineError) as error:
        raise InputError(
            f"{file}: a job of a killed run may still work at {endpoint} ({reason(error)}): start that job service "
            "again, or delete the file once the job has ended"
        ) from None
    file.unlink(missing_ok=True)


def _jobs(service: Any, name: str) -> list[EngineJob]:
    """The jobs of that name."""
    try:
        answer = service.GetJobs(api.GetJobsRequest(), timeout=ANSWER_SECONDS)
    except grpc.RpcError as error:
        raise EngineError(sentence(error)) from error
    return [EngineJob(service, info.job_id) for info in answer.job_info if info.job_name == name]


_ERROR_LINE = re.compile(
    r"^(?:Caused by: )?(?:[A-Za-z_][\w.]*\.)?(\w*(?:Error|Exception|Exit|Interrupt)\b.*)$", re.MULTILINE
)


def last_line(text: str) -> str:
    """The reason at the end of a stack trace of Python, which may be part of Java's; else the first line."""
    if errors := _ERROR_LINE.findall(text):
        return str(errors[-1]).strip()
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason")


def sentence(error: grpc.RpcError) -> str:
    """What a job service answered, in one line."""
    code, details = getattr(error, "code", None), getattr(error, "details", None)
    name = code().name if code else type(error).__name__
    text = details() if details else ""
    return f"the job service answers {name}: {last_line(text) if text else 'its log has the reason'}"
