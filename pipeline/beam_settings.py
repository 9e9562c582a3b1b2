"""Settings of Beam: in this process, or on an engine. Checked without importing Beam, which takes seconds."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from models.settings import Settings

Runner = Literal["DirectRunner", "FnApiRunner", "PortableRunner", "DataflowRunner"]

# A value of this form is read from an environment variable when a pipeline starts.
ENVIRONMENT = "env:"

# In a run folder: the file that records a job on an engine while it runs, and what begins the name of the folder in
# which the workers of a preflight report.
JOB_FILE, PREFLIGHT = "beam_job.json", "preflight-"

_OPTION = re.compile(r"--([A-Za-z][A-Za-z0-9_]*)(?:=(.*))?", re.DOTALL)
_SECRET = re.compile("key|token|password|secret|credential|connection_string", re.IGNORECASE)

# Options that other settings decide, or that would send our code to workers, which have it in their image.
_DECIDED = {
    "runner": "beam.runner decides it",
    "direct_num_workers": "beam.workers decides it",
    "direct_running_mode": "beam.mode decides it",
    "job_file": "it is in the run folder",
    **dict.fromkeys(
        ("save_main_session", "setup_file", "requirements_file", "extra_package", "extra_packages"),
        "workers have the code in their image, nothing is sent to them",
    ),
}
_NEEDED = {
    "PortableRunner": {"job_endpoint": "localhost:8099"},
    "DataflowRunner": {
        "project": "my-project",
        "region": "europe-west1",
        "temp_location": "gs://bucket/temp",
        "sdk_container_image": "registry.example/yt8m:TAG",
    },
}


class BeamSettings(Settings):
    """Where and how Beam steps run.

    Attributes:
        runner: DirectRunner or FnApiRunner: in this process; PortableRunner: on the engine of a Beam job service;
            DataflowRunner: on Dataflow.
        workers: processes or threads of a runner in this process.
        mode: what these are.
        options: of Beam's pipelines, `--name=value`. A secret is written as `--name=env:VARIABLE`: settings are stored
            and shown in many places.
    """

    runner: Runner = "DirectRunner"
    workers: Annotated[int, Field(gt=0, le=1000)] = 1
    mode: Literal["in_memory", "multi_threading", "multi_processing"] = "in_memory"
    options: tuple[str, ...] = ()

    @property
    def on_engine(self) -> bool:
        """Whether steps run outside this process."""
        return self.runner in _NEEDED

    @property
    def values(self) -> dict[str, str]:
        """The values of the options by name; "" for those without one, the last one of those given repeatedly."""
        return dict(map(_name_and_value, self.options))

    @field_validator("options", mode="before")
    @classmethod
    def _options_are_a_list_of_names_and_values(cls, options: Any) -> Any:
        # No message shows a value, which may be a secret.
        if not isinstance(options, list | tuple):
            raise ValueError(f"expected a list of --name=value, not a {type(options).__name__}")
        for place, option in enumerate(options, start=1):
            if not isinstance(option, str) or not _OPTION.fullmatch(option):
                raise ValueError(f"option {place} is not of the form --name=value, say --job_endpoint=localhost:8099")
        return options

    @field_validator("options")
    @classmethod
    def _options_are_ours_to_pass_on(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        for name, value in map(_name_and_value, options):
            if name in _DECIDED:
                raise ValueError(f"--{name} cannot be set: {_DECIDED[name]}")
            if value and _SECRET.search(name) and not value.startswith(ENVIRONMENT):
                raise ValueError(
                    f"--{name} may be a secret, and settings are stored and shown: write --{name}={ENVIRONMENT}NAME to "
                    "read it from the environment variable NAME"
                )
        return options

    @model_validator(mode="after")
    def _the_runner_has_what_it_needs(self) -> Self:
        if not self.on_engine:
            return self
        for name, example in _NEEDED[self.runner].items():
            if not self.values.get(name):
                raise ValueError(f"options has no --{name}, which {self.runner} needs, say --{name}={example}")
        if self.runner == "PortableRunner" and not re.fullmatch(r"\S+:\d+", endpoint := self.values["job_endpoint"]):
            raise ValueError(f"options has --job_endpoint={endpoint}, expected host:port, say localhost:8099")
        if self.runner == "PortableRunner" and "sdk_container_image" in self.values:
            raise ValueError("options has --sdk_container_image, expected --environment_option=docker_container_image=")
        for key in ("workers", "mode"):
            if key in self.model_fields_set and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key} has no effect with {self.runner}, allowed: its own options")
        return self


def _name_and_value(option: str) -> tuple[str, str]:
    match = _OPTION.fullmatch(option)
    assert match is not None
    return match[1], match[2] or ""
