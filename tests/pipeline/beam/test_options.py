"""Settings and arguments of Beam's pipelines: in this process, on an engine, and what is refused."""

import argparse

import pytest
from tfx.utils.dependency_utils import make_beam_dependency_flags

from models.errors import InputError
from pipeline.beam.options import beam_args, check_options
from pipeline.beam_settings import BeamSettings
from pipeline.experiments import find_experiment
from pipeline.settings import resolve_settings

ENGINE = "--job_endpoint=localhost:8099"
PROCESS = "--environment_type=PROCESS"


def portable(*options):
    return BeamSettings(runner="PortableRunner", options=(ENGINE, *options))


@pytest.mark.parametrize("settings", [BeamSettings(), portable()])
def test_tfx_does_not_package_itself_for_workers_that_have_the_code(settings):
    arguments = beam_args(settings)
    assert make_beam_dependency_flags(arguments) == arguments


def test_options_are_passed_on_to_the_engine():
    options = (PROCESS, "--environment_option=process_command=yt8m-beam-worker", "--sdk_worker_parallelism=2")
    assert beam_args(portable(*options))[-4:] == [ENGINE, *options]
    assert "--s3_endpoint_url=http://localhost:9000" in beam_args(
        BeamSettings(options=("--s3_endpoint_url=http://localhost:9000",))
    )


def test_a_secret_is_read_from_the_environment(monkeypatch):
    settings = portable("--s3_secret_access_key=env:STORE_SECRET")
    with pytest.raises(InputError, match="environment variable STORE_SECRET, which is not set"):
        beam_args(settings)
    monkeypatch.setenv("STORE_SECRET", "hunter2")
    assert "--s3_secret_access_key=hunter2" in beam_args(settings)
    assert "hunter2" not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("runner", "options", "message"),
    [
        ("PortableRunner", [], "beam: options has no --job_endpoint, which PortableRunner needs, say --job_endpoint="),
        ("PortableRunner", ["--job_endpoint=here"], "--job_endpoint=here, expected host:port, say localhost:8099"),
        ("PortableRunner", [ENGINE, "job_port=1"], "beam.options: option 2 is not of the form --name=value"),
        (
            "PortableRunner",
            [ENGINE, "--runner=SparkRunner"],
            "beam.options: --runner cannot be set: beam.runner decides",
        ),
        ("PortableRunner", [ENGINE, "--setup_file=setup.py"], "--setup_file cannot be set: workers have the code"),
        (
            "PortableRunner",
            [ENGINE, "--sdk_container_image=a"],
            "expected --environment_option=docker_container_image=",
        ),
        ("DataflowRunner", ["--project=p"], "beam: options has no --region, which DataflowRunner needs"),
        ("PortableRunner", [ENGINE, "--s3_secret_access_key=hunter2"], "write --s3_secret_access_key=env:NAME"),
        (
            "PortableRunner",
            "--s3_secret_access_key=hunter2",
            "beam.options: expected a list of --name=value, not a str",
        ),
    ],
)
def test_a_wrong_option_is_one_line_without_secrets(runner, options, message):
    with pytest.raises(InputError) as error:
        resolve_settings(
            find_experiment("netvlad-8"), {"data.pattern": "x", "beam.runner": runner, "beam.options": options}
        )
    assert message in str(error.value) and "\n" not in str(error.value) and "hunter2" not in str(error.value)


def test_settings_of_this_process_have_no_effect_on_an_engine():
    with pytest.raises(ValueError, match="workers has no effect with PortableRunner, allowed: its own options"):
        BeamSettings(runner="PortableRunner", options=(ENGINE,), workers=2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            portable("--job_server_timeout=soon"),
            "argument --job_server_timeout/--job-server-timeout: invalid int value",
        ),
        (portable(PROCESS), "Option process_command is required for environment type PROCESS."),
        (BeamSettings(options=("--job_endpont=a",)), "--job_endpont is not an option, allowed: those of Beam's"),
        (BeamSettings(options=(ENGINE,)), "--job_endpoint has no effect with DirectRunner, allowed with beam.runner"),
    ],
)
def test_beams_parser_finds_wrong_options_before_any_work(settings, message):
    with pytest.raises(InputError) as error:
        beam_args(settings)
    assert f"beam.options: {message}" in str(error.value)


def test_an_option_may_be_the_engines_own():
    settings = portable("--enableSparkMetricSinks=false")
    check_options(settings)

    def described(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--enableSparkMetricSinks")

    check_options(settings, described)
    with pytest.raises(InputError, match=r"--enableSparkMetricSinks is not an option, allowed: .* and the engine's"):
        check_options(settings, lambda parser: None)
