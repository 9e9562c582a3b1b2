"""Kills, signals, full disks and removed inputs in every step and command: prints a matrix (`make test-faults`).

Each command is stopped while it works and then repeated: it must acknowledge a signal within a second, end within three
with a line on what is kept, leave no process, no partial file and no "running" step, and succeed the next time. A
pipeline is stopped in each of its steps in turn, and resumes from there.
"""

import argparse
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from case import LONG, YT8M, Case, Command, again, stop

EXPERIMENT = ("--experiment", "netvlad-8", "--split", "id:80/10/10", "--set", "training.max_epochs=2")
EXPERIMENT += ("--set", "evaluation.floor=false")  # two epochs on few videos


def in_steps(folder: Path, number: signal.Signals) -> Iterator[Case]:
    """Stops each step of a pipeline in turn; at the end the scores are those of a run that was never stopped."""
    out = folder / f"run-{number.name}"
    arguments = ("run", "--data", "frames", *EXPERIMENT, "--out", out.name)
    steps = [step["name"] for step in json.loads((folder / "base" / "steps.json").read_text())]
    for step in steps:
        case = Case(f"run in {step}", number.name)
        command = Command(arguments, folder)
        stop(case, command, number, lambda step=step, command=command: command.wait_for(f"{step} ...", LONG))  # type: ignore[misc]
        states = {row["state"] for row in json.loads((out / "steps.json").read_text())} if out.exists() else set()
        if "running" in states:
            case.problems.append("steps.json says running")
        yield case
    yield in_a_training(folder, number)
    case = Case("run again", number.name)
    again(case, arguments, folder, out)
    scores = [json.loads((place / "scores.json").read_text())["splits"] for place in (folder / "base", out)]
    if scores[0] != scores[1]:
        case.problems.append(f"other scores: {scores}")
    yield case


TUNE = ("tune", "netvlad-8", "--run", "base", "--set", "tune.max_trials=3", "--set", "tune.max_epochs=2")

# The commands, and the output or seconds after which each is at work.
COMMANDS: dict[str, tuple[tuple[str, ...], str, float]] = {
    "synth": (("synth", "--level", "frame", "--videos", "3000", "--labels", "7", "synth"), "", 6),
    "stats": (("stats", "--data", "many", "--split", "id:80/10/10", "--out", "stats"), "", 5),
    "predict": (("predict", "base", "--data", "many", "--out", "answers.csv"), "", 10),
    "report": (("report", "base", "--out", "report"), "", 0.7),
    "tune": ((*TUNE, "--out", "tune"), "epoch 1", LONG),
    "tune --workers 2": ((*TUNE, "--workers", "2", "--out", "tune-2"), "epoch 1", LONG),
    "gc": (("gc", "base"), "", 0.7),
}


def in_a_training(folder: Path, number: signal.Signals) -> Case:
    """Stops a training in its third epoch: a signal saves all steps, kill -9 loses at most the epoch."""
    case = Case("run, epoch 3", number.name)
    out = folder / f"training-{number.name}"
    arguments = ("run", "--data", "frames", *EXPERIMENT, "--set", "training.max_epochs=20", "--out", out.name)
    command = Command(arguments, folder)
    stop(case, command, number, lambda: command.wait_for("epoch 2:", LONG))
    if number is not signal.SIGKILL and not any("stopped, progress is saved" in line for line in command.lines):
        case.problems.append("no checkpoint is reported")
    resumed = Command(arguments, folder)
    if resumed.end() != 0 or not any("resuming in epoch" in line for line in resumed.lines):
        case.problems.append(f"not resumed: {resumed.lines[-1:]}")
    return case


def of_commands(folder: Path, number: signal.Signals) -> Iterator[Case]:
    """Stops each other command while it works, and repeats it."""
    where = folder / f"commands-{number.name}"
    where.mkdir()
    for shared in ("base", "frames", "many"):
        (where / shared).symlink_to(folder / shared)
    for name, (arguments, words, seconds) in COMMANDS.items():
        case = Case(name, number.name)
        command = Command(arguments, where)
        stop(case, command, number, lambda command=command, words=words, seconds=seconds: (  # type: ignore[misc]
            command.wait_for(words, seconds) if words else command.works_for(seconds)
        ))  # fmt: skip
        again(case, arguments, where, where)
        yield case


def two_at_once(folder: Path) -> Iterator[Case]:
    """A second run or search in the same folder is refused; the error names the first, which succeeds."""
    for name, words, arguments in (
        ("run", "ExampleGen", ("run", "--data", "frames", *EXPERIMENT, "--out", "twice")),
        ("tune", "trial 0", (*TUNE, "--out", "tune-twice")),
    ):
        case = Case(f"{name} twice", "two at once")
        first = Command(arguments, folder)
        if not first.wait_for(words, LONG):
            case.problems.append(f"the first did not start: {first.lines[-1:]}")
        second = Command(arguments, folder)
        case.ended = None
        if second.end() != 2 or f"is in use by process {first.pid}" not in second.lines[-1]:
            case.problems.append(f"the second: {second.lines[-1:]}")
        if first.end() != 0:
            case.problems.append(f"the first: {first.lines[-1:]}")
        yield case


def disks(folder: Path) -> Iterator[Case]:
    """Full and read-only disks: one line that names the folder, and exit code 1 or 2."""
    commands: dict[str, tuple[str, ...]] = {
        "run": ("run", "--data", "frames", *EXPERIMENT, "--out", "DISK/out"),
        "stats": ("stats", "--data", "frames", "--split", "id:80/10/10", "--out", "DISK/out"),
        "tune": (*TUNE, "--out", "DISK/out"),
        "predict": ("predict", "base", "--data", "frames", "--out", "DISK/answers.csv"),
        "report": ("report", "base", "--out", "DISK/out"),
        "synth": ("synth", "--level", "frame", "--videos", "240", "--labels", "7", "DISK/out"),
        "compile": ("compile", "--cluster", "cluster.yaml", "--data", "gs://a/b", *EXPERIMENT, "--out", "DISK/p.yaml"),
    }
    for size in ("full", "1m", "4m", "16m", "inodes", "read-only"):
        for name, arguments in commands.items():
            case = Case(name, f"disk: {size}")
            with disk(size) as mounted:
                if mounted is None:
                    case.landed = "not tried: no right to mount"
                    yield case
                    continue
                on_disk = [argument.replace("DISK", str(mounted)) for argument in arguments]
                command = Command(on_disk, folder)
                code = command.end()
                case.landed = f"exit code {code}"
                errors = [line for line in command.lines if line.startswith("error: ")]
                if code not in (0, 1, 2) or (code and (len(errors) != 1 or str(mounted) not in errors[0])):
                    case.problems.append(f"exit code {code}: {command.lines[-2:]}")
                if code == 0 and size in ("full", "read-only"):
                    case.problems.append("exit code 0")
                if any("Traceback" in line for line in command.lines):
                    case.problems.append("a stack trace")
            yield case
    case = Case("stats", "TMPDIR: full")
    with disk("full") as mounted:
        if mounted is None:
            case.landed = "not tried: no right to mount"
        else:
            command = Command((*commands["stats"][:-1], "tmpdir"), folder, {"TMPDIR": str(mounted)})
            if command.end() != 2 or "TMPDIR" not in command.lines[-1]:
                case.problems.append(str(command.lines[-1:]))
    yield case


@contextlib.contextmanager
def disk(kind: str) -> Iterator[Path | None]:
    """Mounts a small file system: of a size, full, without inodes or read-only; None without the right to mount."""
    with tempfile.TemporaryDirectory(prefix="disk-") as place:
        size = {"full": "64k", "inodes": "64m", "read-only": "64m"}.get(kind, kind)
        options = f"size={size}" + (",nr_inodes=12" if kind == "inodes" else "")
        if subprocess.run(("mount", "-t", "tmpfs", "-o", options, "none", place), capture_output=True).returncode:
            yield None
            return
        try:
            if kind == "full":
                with contextlib.suppress(OSError), Path(place, "fill").open("wb", buffering=0) as file:
                    while file.write(b"\0" * 4096):
                        pass
            if kind == "read-only":
                Path(place, "out").mkdir()
                subprocess.run(("mount", "-o", "remount,ro", place), check=True)
            yield Path(place)
        finally:
            subprocess.run(("umount", "-l", place), check=False)


def vanished(folder: Path) -> Iterator[Case]:
    """The shards or the run folder are removed while a step runs."""
    for step in ("ExampleGen", "Trainer"):
        for removed in ("frames", "out"):
            case = Case(f"run in {step}", f"{removed} removed")
            data, out = folder / "vanishing", folder / "vanished-out"
            for path in (data, out):
                shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(folder / "frames", data)
            command = Command(("run", "--data", data.name, *EXPERIMENT, "--out", out.name), folder)
            if not command.wait_for(f"{step} ...", LONG):
                case.problems.append("ended before the fault")
            shutil.rmtree(data if removed == "frames" else out, ignore_errors=True)
            code = command.end()
            errors = [line for line in command.lines if line.startswith("error: ")]
            case.landed = f"exit code {code}"
            if code not in (0, 1, 2) or (code and len(errors) != 1) or "Traceback" in "\n".join(command.lines):
                case.problems.append(f"{command.lines[-2:]}")
            if removed == "out" and code == 0:
                case.problems.append("exit code 0")
            yield case


def prepare(folder: Path) -> None:
    """Makes two sets of synthetic shards, small and large, and a finished run on the small one."""
    for arguments in (
        ("synth", "--level", "frame", "--videos", "240", "--labels", "7", "frames"),
        ("synth", "--level", "frame", "--videos", "6000", "--labels", "7", "many"),
        ("run", "--data", "frames", *EXPERIMENT, "--out", "base"),
    ):
        subprocess.run((*YT8M, *arguments), cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (folder / "cluster.yaml").write_text(
        "cluster:\n  image: registry/yt8m:0.1\n  pipeline_root: gs://a/runs\n  push_directory: gs://a/serving\n"
    )


FAULTS: dict[str, Callable[[Path], Iterator[Case]]] = {
    "steps": lambda folder: (case for number in SIGNALS for case in in_steps(folder, number)),
    "commands": lambda folder: (case for number in SIGNALS for case in of_commands(folder, number)),
    "twice": two_at_once,
    "disks": disks,
    "vanished": vanished,
}
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)


def main() -> int:
    """Prints the matrix; returns 1 if a case failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=FAULTS, default=list(FAULTS), help="default: all")
    parser.add_argument("--folder", type=Path, help="keep what the commands wrote there (default: a temporary folder)")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        prepare(folder)
        print(f"{'command':28} {'fault':16} {'landed in':20} {'ack s':>5} {'end s':>5}")
        for name in options.only:
            for case in FAULTS[name](folder):
                print(case.row(), flush=True)
                failed += bool(case.problems)
    print(f"{failed} failed" if failed else "all held")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
