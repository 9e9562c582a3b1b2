"""Runs Beam pipelines on an engine: jobs are recorded while they run, and cancelled when this process is stopped."""

import json
import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from apache_beam.metrics import monitoring_infos
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_job_api_pb2 as api
from apache_beam.portability.api import beam_job_api_pb2_grpc
from apache_beam.runners.portability.portable_runner import (
    TERMINAL_STATES,
    JobServiceHandle,
    PipelineResult,
    PortableRunner,
)
from apache_beam.runners.runner import PipelineState

from models.errors import InputError, reason
from models.training.stopping import StopRequest, deferred_signals
from models.whole_files import write_file

# Seconds that a job service has to accept a connection, and to answer a question about a job.
CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 30.0

# Seconds that an engine has to end a cancelled job.
CANCEL_SECONDS = 60.0

# Seconds without an answer after which a running job is given up.
LOST_SECONDS = 120.0

# Seconds between two lines of progress, and between two questions for the state of a job.
PROGRESS_SECONDS, POLL_SECONDS = 30.0, 0.5

# Seconds that the last messages of a job, with its reason, may come after its end.
LAST_MESSAGES_SECONDS = 5.0

_logger = logging.getLogger(__name__)


class EngineError(Exception):
    """A job failed on the engine; the message is its reason in one line."""


class EngineTimeout(Exception):
    """A job took longer than it may, and has been cancelled."""


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
            raise EngineError(_sentence(error)) from error

    def cancel(self) -> None:
        """Cancels it and waits for its end.

        Raises:
            EngineError: the job service does not answer, or the job does not end in time.
        """
        try:
            self._service.Cancel(api.CancelJobRequest(job_id=self.id), timeout=ANSWER_SECONDS)
        except grpc.RpcError as error:
            raise EngineError(_sentence(error)) from error
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


class EngineOptions(PipelineOptions):
    """Options of this module's runner."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        parser.add_argument("--job_file", help="File in which a job is recorded while it runs.")


class EngineRunner(PortableRunner):
    """Beam's PortableRunner; `run` ends with the job.

    A job is recorded before it starts, so that after `kill -9` another process can cancel it (`cancel_recorded_job`). A
    signal cancels the job, waits for its end and then ends the process.

    Args:
        time_limit: seconds after which the job is cancelled; None: none.
        progress: called every `progress_seconds` with a line.
        progress_seconds: between two lines.
    """

    def __init__(
        self,
        time_limit: float | None = None,
        progress: Callable[[str], None] = _logger.info,
        progress_seconds: float = PROGRESS_SECONDS,
    ) -> None:
        super().__init__()
        self._time_limit, self._progress, self._progress_seconds = time_limit, progress, progress_seconds
        self._record = _JobRecord(None, "")

    def run_portable_pipeline(self, pipeline: Any, options: PipelineOptions) -> PipelineResult:
        """Runs a job to its end.

        Raises:
            InputError: the job service cannot be reached.
            EngineError: the job failed.
            EngineTimeout: it took longer than the time limit.
            SystemExit: this process was asked to stop.
        """
        own = options.view_as(EngineOptions)
        endpoint = options.view_as(PortableOptions).job_endpoint
        self._record, own.job_file = _JobRecord(own.job_file and Path(own.job_file), endpoint), None
        with deferred_signals("stopping: the job on the engine is cancelled") as stop:
            try:
                job = super().run_portable_pipeline(pipeline, options)
            except grpc.RpcError as error:
                raise EngineError(_sentence(error)) from error
            try:
                self._wait(EngineJob(job._job_service, job._job_id), _Messages(job._message_stream), stop)
            finally:
                job._cleanup()
        return _EndedJob(job._job_service, job._job_id, (), ())

    def create_job_service(self, options: PipelineOptions) -> JobServiceHandle:
        """A connection to the job service."""
        service = connect(options.view_as(PortableOptions).job_endpoint)
        return _Submission(service, options, self._record)

    def _wait(self, job: EngineJob, messages: "_Messages", stop: StopRequest) -> None:
        started = reported = answered = time.monotonic()
        state = api.JobState.UNSPECIFIED
        while state not in TERMINAL_STATES:
            now = time.monotonic()
            if stop or (self._time_limit is not None and now - started > self._time_limit):
                job.cancel()
                self._record.remove()
                if stop:
                    stop.exit()
                raise EngineTimeout
            try:
                state, answered = job.state(), now
            except EngineError:  # a service that is started again, or a broken connection
                if now - answered > LOST_SECONDS:
                    raise
            if now - reported >= self._progress_seconds:
                reported = now
                self._progress(job.progress(state, now - started))
            time.sleep(POLL_SECONDS)
        self._record.remove()
        if state not in (api.JobState.DONE, api.JobState.DRAINED):
            messages.ended.wait(LAST_MESSAGES_SECONDS)
            text = messages.last_error or f"it ended as {api.JobState.Enum.Name(state)}, without a reason"
            _logger.error("%s", text)
            raise EngineError(last_line(text))


class _EndedJob(PipelineResult):
    """The result of a job that has succeeded."""

    def wait_until_finish(self, duration: int | None = None) -> str:
        """Its state, at once."""
        return str(PipelineState.DONE)


class _JobRecord:
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


class _Submission(JobServiceHandle):
    """Beam's, with a name for the job, and without its deadline of five minutes for the end of the job."""

    def __init__(self, service: Any, options: PipelineOptions, record: _JobRecord) -> None:
        super().__init__(service, options)
        self._record = record

    def prepare(self, proto_pipeline: Any) -> Any:
        """Hands the pipeline over."""
        request = api.PrepareJobRequest(
            job_name=self._record.name, pipeline=proto_pipeline, pipeline_options=self.get_pipeline_options()
        )
        return self.job_service.Prepare(request, timeout=self.timeout)

    def run(self, preparation_id: str) -> tuple[str, Iterator[Any], Iterator[Any]]:
        """Starts the job; its id, its messages, and no states, for which `_wait` asks."""
        self._record.write()
        job_id = self.job_service.Run(api.RunJobRequest(preparation_id=preparation_id)).job_id
        return job_id, self.job_service.GetMessageStream(api.JobMessagesRequest(job_id=job_id)), iter(())


class _Messages:
    """Reads the messages of a job in a thread.

    Attributes:
        last_error: the last error message.
        ended: set when there are no more messages.
    """

    def __init__(self, stream: Iterable[Any]) -> None:
        self.last_error = ""
        self.ended = threading.Event()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: Iterable[Any]) -> None:
        with suppress(grpc.RpcError):
            for message in stream:
                if message.HasField("message_response"):
                    answer = message.message_response
                    if answer.importance == api.JobMessage.JOB_MESSAGE_ERROR:
                        self.last_error = answer.message_text
        self.ended.set()


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
        raise EngineError(_sentence(error)) from error
    return [EngineJob(service, info.job_id) for info in answer.job_info if info.job_name == name]


_ERROR_LINE = re.compile(
    r"^(?:Caused by: )?(?:[A-Za-z_][\w.]*\.)?(\w*(?:Error|Exception|Exit|Interrupt)\b.*)$", re.MULTILINE
)


def last_line(text: str) -> str:
    """The reason at the end of a stack trace of Python, which may be part of Java's; else the first line."""
    if errors := _ERROR_LINE.findall(text):
        return str(errors[-1]).strip()
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason")


def _sentence(error: grpc.RpcError) -> str:
    """What a job service answered, in one line."""
    code, details = getattr(error, "code", None), getattr(error, "details", None)
    name = code().name if code else type(error).__name__
    text = details() if details else ""
    return f"the job service answers {name}: {last_line(text) if text else 'its log has the reason'}"
