"""Runs Beam pipelines on an engine: jobs are recorded while they run, and cancelled when this process is stopped."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_job_api_pb2 as api
from apache_beam.runners.portability.portable_runner import (
    TERMINAL_STATES,
    JobServiceHandle,
    PipelineResult,
    PortableRunner,
)
from apache_beam.runners.runner import PipelineState

from models.training.stopping import StopRequest, deferred_signals
from pipeline.beam.jobs import POLL_SECONDS, EngineError, EngineJob, JobRecord, connect, last_line, sentence

# Seconds without an answer after which a running job is given up.
LOST_SECONDS = 120.0

# Seconds between two lines of progress.
PROGRESS_SECONDS = 30.0

# Seconds that the last messages of a job, with its reason, may come after its end.
LAST_MESSAGES_SECONDS = 5.0

_logger = logging.getLogger(__name__)


class EngineTimeout(Exception):
    """A job took longer than it may, and has been cancelled."""


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
        self._record = JobRecord(None, "")

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
        self._record, own.job_file = JobRecord(own.job_file and Path(own.job_file), endpoint), None
        with deferred_signals("stopping: the job on the engine is cancelled") as stop:
            try:
                job = super().run_portable_pipeline(pipeline, options)
            except grpc.RpcError as error:
                raise EngineError(sentence(error)) from error
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


class _Submission(JobServiceHandle):
    """Beam's, with a name for the job, and without its deadline of five minutes for the end of the job."""

    def __init__(self, service: Any, options: PipelineOptions, record: JobRecord) -> None:
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
