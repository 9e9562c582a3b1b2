"""What the containers of a package run: `python -P -m pipeline.kubeflow.container.entrypoint`.

KFP's launcher has copied the inputs to local paths and copies the outputs from theirs when this process ends well.
"""

import argparse
import json
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.errors import InputError

USER_MISTAKE, FAILURE = 2, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one step; returns the exit code.

    0 done, 2 a mistake that trying again cannot mend, 1 anything else. SIGTERM makes Trainer and Tuner save a
    checkpoint and exit with 143. Whatever is not 0 leaves no output file, so nothing is published.
    """
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", force=True)
    os.environ |= {"TFX_ANALYTICS": "0", "PYTHONSAFEPATH": "1"}
    try:
        _run(given)
    except InputError as error:
        return _say(given.step, str(error), USER_MISTAKE)
    except SystemExit as stopped:
        return _say(given.step, "stopped by SIGTERM; what was trained is saved", int(stopped.code or FAILURE))
    except Exception as error:
        traceback.print_exc()
        return _say(given.step, f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}", FAILURE)
    return 0


def _say(step: str, reason: str, code: int) -> int:
    sys.stderr.write(f"error: {step}: {reason}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kubeflow_entrypoint", description="Runs one step of a compiled package.")
    parser.add_argument("--step", required=True, help="Its name in the package.")
    parser.add_argument("--executor_input", required=True, metavar="JSON", help="From KFP's launcher.")
    parser.add_argument("--push_directory", required=True, help="Where blessed models are published.")
    parser.add_argument("--work_directory", default="", help="Where a killed training is gone on from.")
    parser.add_argument("--graph", default="", help="Of the package, for its first step.")
    return parser


def _run(given: argparse.Namespace) -> None:
    # Imported here: TFX takes seconds, --help and a wrong argument should not.
    from pipeline.kubeflow.container.artifacts import ExecutorInput
    from pipeline.kubeflow.container.step import run_step
    from pipeline.kubeflow.graph import SEPARATOR, Places
    from pipeline.kubeflow.parameters import RESOLVER, ResolvedSettings, resolve_parameters

    executor_input = ExecutorInput.parse(given.executor_input)
    executor_input.output_file.unlink(missing_ok=True)  # of an earlier attempt in the same pod
    places = Places(given.push_directory, given.work_directory)
    if given.step == RESOLVER:
        graph = given.graph.split(SEPARATOR)
        resolved = resolve_parameters(**executor_input.parameters, places=places, graph=graph)
        output = {"parameterValues": resolved.for_steps()}
    else:
        resolved = ResolvedSettings.model_validate_json(executor_input.parameters["settings"])
        output = run_step(given.step, executor_input, resolved, places)
    _write(executor_input.output_file, output)


def _write(path: Path, output: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(output))
    partial.replace(path)


if __name__ == "__main__":
    code = main()
    # Not sys.exit: threads of libraries that were left behind could keep the step running, or abort it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
