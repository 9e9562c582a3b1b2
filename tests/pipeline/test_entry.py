"""A package of the same name as one of ours is reported at the start, not in the middle of a run."""

import subprocess
import sys
from pathlib import Path

import pytest

START = "from pipeline.entry import main; main()"


@pytest.mark.parametrize("name", ["models", "components", "tuner"])
@pytest.mark.parametrize("is_package", [True, False])
def test_a_package_that_hides_ours_is_named(tmp_path: Path, name: str, is_package: bool) -> None:
    (tmp_path / name).mkdir()
    if is_package:
        (tmp_path / name / "__init__.py").touch()
    else:
        (tmp_path / name).rmdir()
        (tmp_path / f"{name}.py").touch()
    done = subprocess.run(
        [sys.executable, "-P", "-c", START, "--help"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and done.stderr.startswith(f"error: the package {name} of this installation in ")
    assert str(tmp_path / name) in done.stderr and done.stderr.count("\n") == 1


def test_a_folder_in_the_working_directory_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").touch()
    yt8m = Path(sys.executable).with_name("yt8m")
    done = subprocess.run([yt8m, "experiments"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""


def test_a_package_that_hides_one_of_another_distribution_is_named(tmp_path: Path) -> None:
    (tmp_path / "click.py").touch()
    done = subprocess.run(
        [sys.executable, "-P", "-c", START, "experiments"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and f"something in PYTHONPATH={tmp_path} hides a package" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_closed_standard_output_is_said_at_once(tmp_path: Path) -> None:
    yt8m = Path(sys.executable).with_name("yt8m")
    done = subprocess.run(
        ["sh", "-c", f"{yt8m} experiments >&-"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (
        2,
        "error: standard output is closed: redirect it, to /dev/null if nobody reads it\n",
    )


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_other_closed_streams_change_nothing(tmp_path: Path, closed: str) -> None:
    yt8m = Path(sys.executable).with_name("yt8m")
    command = f"{yt8m} experiments {closed} >experiments"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, check=False)
    assert done.returncode == 0 and "netvlad-8 " in (tmp_path / "experiments").read_text()
