"""The command of a package's containers: `python -P -m pipeline.kubeflow.container.entrypoint`.

KFP's launcher copies inputs to local paths before this process starts, and outputs from local paths after it succeeds.
"""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.readable_log import import_tensorflow, log_to_stderr
from models.errors import InputError
from pipeline.kubeflow.container.executor_input import ExecutorInput
from pipeline.kubeflow.container.pointers import input_paths
from pipeline.kubeflow.container.volume import StepFolder

USER_MISTAKE, FAILURE = 2, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one step and returns its exit code.

    0: success. 2: the user's mistake, which a retry cannot cure. 143: stopped by SIGTERM, after Trainer or Tuner has
    saved a checkpoint. 1: any other failure. A step that fails leaves no output file and so publishes nothing.
    """
    options = _parser().parse_args(arguments)
    log_to_stderr("%(levelname)s %(name)s: %(message)s")
    os.environ |= {"TFX_ANALYTICS": "0", "PYTHONSAFEPATH": "1"}
    try:
        _run(options)
    except InputError as error:
        return _report(options.step, str(error), USER_MISTAKE)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else FAILURE
        return _report(options.step, "stopped by SIGTERM; progress is saved", code or FAILURE)
    except Exception as error:
        traceback.print_exc()
        return _report(options.step, f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}", FAILURE)
    return 0


def _report(step: str, reason: str, code: int) -> int:
    sys.stderr.write(f"error: {step}: {reason}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kubeflow_entrypoint", description="Runs one step of a compiled package.")
    parser.add_argument("--step", required=True, help="Name of the step.")
    parser.add_argument("--executor_input", required=True, metavar="JSON", help="From KFP's launcher.")
    parser.add_argument("--push_directory", required=True, help="Where blessed models are published.")
    parser.add_argument("--work_directory", default="", help="Checkpoints from which a killed training resumes.")
    parser.add_argument("--artifact_directory", type=Path, help="Where large artifacts stay; by default in the store.")
    parser.add_argument("--graph", default="", help="Edges of the package's graph, for the first step.")
    return parser


def _run(options: argparse.Namespace) -> None:
    executor_input = ExecutorInput.parse(options.executor_input)
    executor_input.output_file.unlink(missing_ok=True)  # left by an earlier attempt in the same pod
    executor_input.require_files()
    paths = input_paths(executor_input, options.artifact_directory)
    import_tensorflow()
    # Imported here: TFX takes seconds to import, and --help, a wrong argument and a missing input need none of it.
    from pipeline.kubeflow.container.resolver import resolve
    from pipeline.kubeflow.container.step import run_step
    from pipeline.kubeflow.graph import Places
    from pipeline.kubeflow.parameters import RESOLVER, ResolvedSettings

    places = Places(options.push_directory, options.work_directory)
    volume = options.artifact_directory
    folder = StepFolder.of(executor_input, options.step, volume) if volume else None
    if options.step == RESOLVER:
        output = resolve(executor_input, places, options.graph, folder)
    else:
        resolved = ResolvedSettings.model_validate_json(executor_input.parameters["settings"])
        output = run_step(options.step, executor_input, resolved, places, paths, folder)
    _write(executor_input.output_file, output)


def _write(path: Path, output: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(output))
    partial.replace(path)


if __name__ == "__main__":
    code = main()
    # Not sys.exit: leftover threads of libraries could keep the process running, or abort it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
