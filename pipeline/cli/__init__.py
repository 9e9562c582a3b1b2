"""The command `yt8m`, with a module for each subcommand.

TFX takes seconds to import, so a subcommand imports what it needs when it runs.
"""

import os
import re
import sys

import click

from models.errors import InputError
from pipeline.cli.compile import compile, lint
from pipeline.cli.download import download
from pipeline.cli.experiments import experiments
from pipeline.cli.gc import gc
from pipeline.cli.interruption import interruptible
from pipeline.cli.predict import predict
from pipeline.cli.report import report
from pipeline.cli.run import run
from pipeline.cli.schedule import schedule
from pipeline.cli.stats import stats
from pipeline.cli.status import logs, status
from pipeline.cli.submit import submit
from pipeline.cli.synth import synth
from pipeline.cli.tune import tune
from pipeline.files.temporary import temporary_folder

USER_MISTAKE, FAILURE = 2, 1

# A message of more is shortened.
MOST_CHARACTERS = 200

# What a stopped command prints about its work; other commands start over.
KEPT = {
    "run": "finished steps and checkpoints are kept: the same command resumes from them",
    "tune": "finished trials and checkpoints are kept: the same command resumes from them",
    "download": "downloaded files are kept: the same command resumes from them",
    "submit": "a started run continues on the cluster: `yt8m status` shows it",
    "status": "runs on the cluster continue",
    "logs": "runs on the cluster continue",
}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="yt8m-pipeline")
def yt8m() -> None:
    """Video classification on YouTube-8M: run, compare and ship experiments."""


for _command in (
    *(run, tune, experiments, synth, download, stats, report, predict, gc),
    *(compile, lint, submit, schedule, status, logs),
):
    yt8m.add_command(_command)


def main() -> None:
    """Entry point: a user's mistake ends in one line and exit code 2, a signal ends every command."""
    # A folder `components` or `models` in the working directory is not ours; also for Beam's processes.
    os.environ["PYTHONSAFEPATH"] = "1"
    with interruptible() as interruption:
        interruption.kept = KEPT.get(next(iter(sys.argv[1:]), ""), interruption.kept)
        _run()


def _run() -> None:
    try:
        with temporary_folder():
            yt8m(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except BrokenPipeError:  # `| head` has exited
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILURE)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {place}{error.strerror or error}", err=True)
        sys.exit(FAILURE)
    except click.UsageError as error:
        _in_short(error).show()
        sys.exit(USER_MISTAKE)
    except InputError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(USER_MISTAKE)
    except click.ClickException as error:
        click.echo(f"error: {error.format_message()}", err=True)
        sys.exit(FAILURE)


def _in_short(error: click.UsageError) -> click.UsageError:
    """The error without the hundreds of files that a shell makes of a pattern without quotes."""
    extra = re.fullmatch(r"Got unexpected extra arguments \((\S+) .* (\S+)\)", error.message)
    if extra is None or len(error.message) < MOST_CHARACTERS:
        return error
    message = f"Got unexpected extra arguments ({extra[1]} ... {extra[2]}): put quotes around a pattern of files"
    return click.UsageError(message, error.ctx)
