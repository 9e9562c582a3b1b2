"""Jobs at a job service, Beam's own one: recorded, cancelled, and their reasons in one line."""

import json
import os
import signal
import threading
import time

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from models.errors import InputError
from pipeline.beam import jobs
from pipeline.beam.engine import EngineRunner, EngineTimeout
from pipeline.beam.jobs import EngineError, cancel_recorded_job, last_line
from pipeline.beam.options import beam_args
from pipeline.beam_settings import JOB_FILE

LONG = 3.0  # seconds of a job that is stopped; its thread in this process sleeps on


@pytest.fixture
def run(settings, tmp_path):
    """`(function, **runner)`: runs a job that calls a function with the number 1."""

    def job(function, **runner):
        arguments = beam_args(settings(), tmp_path / JOB_FILE)
        with beam.Pipeline(runner=EngineRunner(**runner), options=PipelineOptions(arguments)) as pipeline:
            pipeline | beam.Create([1]) | beam.Map(function)

    return job


@pytest.fixture
def recorded(tmp_path):
    """Waits for the record of a job and returns its file."""

    def wait():
        while not (tmp_path / JOB_FILE).exists():
            time.sleep(0.01)
        return tmp_path / JOB_FILE

    return wait


def test_a_job_is_recorded_while_it_runs(run, tmp_path, job_service):
    seen = tmp_path / "seen"

    def look(number):
        seen.write_text((tmp_path / JOB_FILE).read_text())

    run(look)
    record = json.loads(seen.read_text())
    assert record["endpoint"] == job_service and record["name"].startswith("yt8m-")
    assert not (tmp_path / JOB_FILE).exists()


def test_the_runner_is_found_by_its_name_in_the_arguments(settings, tmp_path):
    with beam.Pipeline(argv=beam_args(settings())) as pipeline:
        pipeline | beam.Create([1]) | beam.Map(lambda number: (tmp_path / "done").touch())
    assert isinstance(pipeline.runner, EngineRunner) and (tmp_path / "done").exists()


def test_a_failed_job_is_one_line(run, tmp_path):
    def fail(number):
        raise ValueError("the disk is gone")

    with pytest.raises(EngineError, match=r"^ValueError: the disk is gone \[while running '"):
        run(fail)
    assert not (tmp_path / JOB_FILE).exists()


def test_a_job_that_takes_too_long_is_cancelled_after_lines_of_progress(run, tmp_path):
    lines = []
    with pytest.raises(EngineTimeout):
        run(lambda number: time.sleep(LONG), time_limit=1.0, progress=lines.append, progress_seconds=0.3)
    assert lines[0].startswith("running on the engine for ") and not (tmp_path / JOB_FILE).exists()


def test_a_signal_cancels_the_job_and_ends_the_process(run, recorded):
    threading.Thread(target=lambda: (recorded(), os.kill(os.getpid(), signal.SIGTERM))).start()
    with pytest.raises(SystemExit) as stopped:
        run(lambda number: time.sleep(LONG))
    assert stopped.value.code == 143


def test_another_process_cancels_the_recorded_job(run, recorded):
    errors = []

    def elsewhere():
        try:
            run(lambda number: time.sleep(LONG))
        except EngineError as error:
            errors.append(str(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    cancel_recorded_job(recorded())
    thread.join()
    assert errors == ["it ended as CANCELLED, without a reason"]


def test_without_a_record_there_is_nothing_to_cancel(tmp_path):
    cancel_recorded_job(tmp_path / JOB_FILE)


def test_a_job_that_its_service_does_not_know_has_ended(tmp_path, job_service):
    (tmp_path / JOB_FILE).write_text(json.dumps({"endpoint": job_service, "name": "yt8m-0"}))
    cancel_recorded_job(tmp_path / JOB_FILE)
    assert not (tmp_path / JOB_FILE).exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"endpoint": "localhost:1", "name": "yt8m-0"}', "a job of a killed run may still work at localhost:1 (beam."),
        ("{", "cannot be read (Expecting property name"),
        ("[]", "cannot be read (list indices must be integers"),
    ],
)
def test_a_job_that_may_still_run_stops_the_next_run(tmp_path, monkeypatch, content, message):
    monkeypatch.setattr(jobs, "CONNECT_SECONDS", 0.2)
    file = tmp_path / JOB_FILE
    file.write_text(content)
    with pytest.raises(InputError) as error:
        cancel_recorded_job(file)
    assert str(error.value).startswith(f"{file}: {message}") and "delete" in str(error.value)
    assert file.exists()


# The last two as Spark's and Prism's job services wrote them, shortened.
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Pipeline failed.", "Pipeline failed."),
        ("\n", "no reason"),
        (
            "java.util.concurrent.ExecutionException: org.apache.spark.SparkException: Job aborted\n\tat a.b(C)\n"
            "Caused by: java.io.IOException: error=2, No such file or directory\n\t... 5 more",
            "IOException: error=2, No such file or directory",
        ),
        (
            "bundle inst001 stage-001 failed:Traceback (most recent call last):\n"
            '  File "a.py", line 1, in process\n    raise RuntimeError("no disk")\nRuntimeError: no disk\n\n',
            "RuntimeError: no disk",
        ),
    ],
)
def test_the_reason_of_a_stack_trace(text, line):
    assert last_line(text) == line
