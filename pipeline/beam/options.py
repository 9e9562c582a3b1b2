"""The arguments of Beam's pipelines, checked by Beam's own parser."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from apache_beam.options import pipeline_options
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator

from models.errors import InputError
from pipeline.beam_settings import ENVIRONMENT, BeamSettings

# The runner of a job service: Beam's PortableRunner, with records of its jobs.
ENGINE_RUNNER = "pipeline.beam.engine.EngineRunner"

# Options that a runner in this process reads none of.
_OF_ENGINES = (
    pipeline_options.PortableOptions,
    pipeline_options.JobServerOptions,
    pipeline_options.WorkerOptions,
    pipeline_options.FlinkRunnerOptions,
    pipeline_options.SparkRunnerOptions,
    pipeline_options.PrismRunnerOptions,
)

AddArguments = Callable[[argparse.ArgumentParser], None]


def beam_args(settings: BeamSettings, job_file: Path | None = None) -> list[str]:
    """Arguments of Beam's pipelines.

    Args:
        settings: where and how Beam runs.
        job_file: where a job on an engine is recorded while it runs.

    Raises:
        InputError: an option is none of Beam's, has a wrong value, or no effect on the runner.
    """
    check_options(settings)
    if settings.runner == "PortableRunner":
        own = [
            f"--runner={ENGINE_RUNNER}",
            # Workers have the code in their image. Without a name TFX would package itself for each step.
            "--sdk_container_image=none",
            "--experiments=disable_logging_submission_environment",
            # At INFO each worker logs all options, with secrets. Java does not know Python's WARNING.
            "--default_sdk_harness_log_level=WARN",
        ]
        if job_file:
            own.append(f"--job_file={job_file}")
    elif settings.runner == "DataflowRunner":
        own = ["--runner=DataflowRunner", "--experiments=disable_logging_submission_environment"]
    else:
        own = [
            # DirectRunner would download a binary ("Prism"); FnApiRunner is the in-process runner behind it.
            "--runner=FnApiRunner",
            f"--direct_num_workers={settings.workers}",
            f"--direct_running_mode={settings.mode}",
            # No image is used. Without a name TFX would package itself for each step (2 s, 52 MB left in /tmp).
            "--sdk_container_image=none",
        ]
    return [*own, *map(_with_environment, settings.options)]


def check_options(settings: BeamSettings, add_arguments: AddArguments | None = None) -> None:
    """Checks options with Beam's parser.

    Args:
        settings: where and how Beam runs.
        add_arguments: adds the options of the engine; None: not known yet, so that an unknown option may be one of
            them.

    Raises:
        InputError: see `beam_args`.
    """
    parser = _Parser(allow_abbrev=False, add_help=False)
    for kind in _kinds():
        kind._add_argparse_args(parser)
    if add_arguments:
        add_arguments(parser)
    _, unknown = parser.parse_known_args(list(settings.options))
    if unknown and (settings.runner != "PortableRunner" or add_arguments):
        name, engines = _name(unknown[0]), " and the engine's" if add_arguments else ""
        raise InputError(f"beam.options: --{name} is not an option, allowed: those of Beam's PipelineOptions{engines}")
    if not settings.on_engine:
        for name in settings.values:
            if name in _names_of(_OF_ENGINES):
                raise InputError(
                    f"beam.options: --{name} has no effect with {settings.runner}, allowed with beam.runner: "
                    "PortableRunner or DataflowRunner"
                )
        return
    options = PipelineOptions(list(settings.options))
    if errors := options.view_as(pipeline_options.PortableOptions).validate(PipelineOptionsValidator(options, None)):
        raise InputError(f"beam.options: {errors[0]}")


class _Parser(pipeline_options._BeamArgumentParser):
    """Beam's parser, whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"beam.options: {message}")


def _kinds() -> list[type[PipelineOptions]]:
    return list({f"{kind.__module__}.{kind.__qualname__}": kind for kind in PipelineOptions.__subclasses__()}.values())


def _names_of(kinds: tuple[type[PipelineOptions], ...]) -> set[str]:
    parser = _Parser(allow_abbrev=False, add_help=False)
    for kind in kinds:
        kind._add_argparse_args(parser)
    return {option.lstrip("-") for action in parser._actions for option in action.option_strings}


def _name(option: str) -> str:
    return option.lstrip("-").partition("=")[0]


def _with_environment(option: str) -> str:
    """The option, with the value of the environment variable that it names.

    Raises:
        InputError: there is no such variable.
    """
    name, equals, value = option.partition("=")
    if not value.startswith(ENVIRONMENT):
        return option
    variable = value.removeprefix(ENVIRONMENT)
    if variable not in os.environ:
        raise InputError(f"beam.options: {name} is read from the environment variable {variable}, which is not set")
    return f"{name}{equals}{os.environ[variable]}"
