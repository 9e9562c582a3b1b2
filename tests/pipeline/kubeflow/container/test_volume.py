"""Large artifacts on a volume: whole or invisible, and never taken from KFP's cache when they are gone."""

import errno
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tfx.types import standard_artifacts

from components.teacher_predictions.artifact import SoftTargets
from kfp_emulator.api.server import RECORDED
from models.errors import InputError
from models.vocabulary import Vocabulary
from pipeline.experiments import find_experiment
from pipeline.kubeflow.container.executor_input import ExecutorInput
from pipeline.kubeflow.container.journal import Journal
from pipeline.kubeflow.container.pointers import POINTER, Listing, Pointer
from pipeline.kubeflow.container.volume import StepFolder
from pipeline.kubeflow.graph import Places, build_pipeline
from pipeline.kubeflow.outputs import LARGE_OUTPUTS
from pipeline.settings import resolve_settings


@pytest.fixture
def folder(tmp_path):
    return StepFolder(tmp_path / "volume", "yt8m", "run-1", "ExampleGen")


@pytest.fixture
def copies(tmp_path):
    """The folders that the launcher uploads."""
    (tmp_path / "examples").mkdir()
    return {"examples": tmp_path / "examples"}


@pytest.fixture
def write(folder, copies):
    """Writes an artifact as an attempt of a step does; returns its folder on the volume."""

    def build(generation=""):
        with folder.writing(["examples"]) as written:
            (written["examples"] / "records").write_text("content")
            folder.publish(written, copies, generation)
        return folder.volume / Pointer.read(copies["examples"] / POINTER).path

    return build


def test_large_outputs_are_those_of_the_types_that_grow():
    settings = resolve_settings(
        find_experiment("netvlad-8"), {"data.pattern": "/data", "training.teachers": ["/a"], "search": True}
    )
    pipeline = build_pipeline(settings, Vocabulary.of_ids(3), Places("/serving", ""))
    large = (standard_artifacts.Examples, standard_artifacts.Model, SoftTargets)
    by_type = {
        node.id: tuple(name for name, channel in node.outputs.items() if issubclass(channel.type, large))
        for node in pipeline.components
    }
    assert {step: names for step, names in by_type.items() if names} == dict(LARGE_OUTPUTS)


def step_folder(output_file, step):
    return StepFolder.of(ExecutorInput({"outputs": {"outputFile": output_file}}), step, Path("/mnt/artifacts"))


def test_the_folder_of_a_step_is_named_after_its_run_as_the_api_names_it():
    text = (RECORDED / "killed_step_retried.json").read_text()
    recorded = set(re.findall(r"(/minio/[^\"]*/(\w+)/[^/]*/output_metadata\.json)", text))
    run = json.loads(text)["v2beta1"]["run_id"]
    assert "ResolveSettings" in {step for _, step in recorded}
    for output_file, step in recorded:
        assert step_folder(output_file, step).path == Path("/mnt/artifacts/yt8m", run, step)


def test_a_store_may_have_a_folder_with_the_name_of_a_step():
    folder = step_folder("/gcs/ExampleGen/yt8m/run-1/ExampleGen/id/output_metadata.json", "ExampleGen")
    assert folder.path == Path("/mnt/artifacts/yt8m/run-1/ExampleGen")


def test_a_launcher_with_other_paths_is_refused():
    with pytest.raises(InputError, match="is not below PIPELINE/RUN/ExampleGen/"):
        step_folder("/tmp/kfp_outputs/output_metadata.json", "ExampleGen")


def test_an_artifact_gets_its_name_when_it_is_whole(folder, copies):
    with folder.writing(["examples"]) as written:
        assert written["examples"].name.startswith(".writing-examples-")
        (written["examples"] / "records").write_text("content")
        folder.publish(written, copies, "")
    [whole] = folder.path.iterdir()
    assert whole.name.startswith("examples-") and (whole / "records").read_text() == "content"
    assert [path.name for path in copies["examples"].iterdir()] == [POINTER]


def test_a_failed_attempt_leaves_nothing(folder):
    with pytest.raises(KeyboardInterrupt), folder.writing(["examples"]) as written:
        (written["examples"] / "records").write_text("half")
        raise KeyboardInterrupt
    assert list(folder.path.iterdir()) == []


def test_attempts_never_share_a_folder(write):
    assert write() != write()


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.kubeflow.container.volume import StepFolder
folder = StepFolder(Path(sys.argv[1]), "yt8m", "run-1", "ExampleGen")
if sys.argv[3] == "renamed":
    from pipeline.kubeflow.container.pointers import Pointer
    Pointer.to = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
with folder.writing(["examples"]) as written:
    (written["examples"] / "records").write_text("half")
    if sys.argv[3] == "writing":
        os.kill(os.getpid(), signal.SIGKILL)
    folder.publish(written, {"examples": Path(sys.argv[2])}, "ExampleGen/a/0")
"""


@pytest.mark.parametrize("moment", ["writing", "renamed"])
def test_a_step_that_is_killed_before_its_pointer_is_written_hands_on_nothing(folder, copies, write, moment):
    command = [sys.executable, "-c", KILLED, folder.volume, copies["examples"], moment]
    assert subprocess.run(command).returncode == -9
    assert list(copies["examples"].iterdir()) == [], "the launcher would upload nothing"
    assert list(Journal(folder.volume).folder.rglob("*.json")) == []
    [left] = folder.path.iterdir()
    assert left.name.startswith(".writing-") == (moment == "writing")
    whole = write("ExampleGen/a/0")
    assert whole != left and whole.is_dir()


@pytest.fixture
def journal(folder):
    return Journal(folder.volume)


def test_a_generation_is_the_same_until_one_of_its_artifacts_is_gone(journal, write):
    first = journal.generation("ExampleGen", "settings")
    whole = write(first)
    assert journal.generation("ExampleGen", "settings") == first
    shutil.rmtree(whole)
    second = journal.generation("ExampleGen", "settings")
    assert second != first, "KFP's cache still has the first one"
    again = write(second)
    assert journal.generation("ExampleGen", "settings") == second
    (again / "records").write_text("changed")
    assert journal.generation("ExampleGen", "settings") not in (first, second)


def test_steps_and_settings_have_generations_of_their_own(journal, write):
    first = journal.generation("ExampleGen", "settings")
    others = [journal.generation("ExampleGen", "other"), journal.generation("Transform", "settings")]
    assert len({first, *others}) == 3
    shutil.rmtree(write(first))
    assert [journal.generation("ExampleGen", "other"), journal.generation("Transform", "settings")] == others


def test_what_an_earlier_attempt_of_a_run_wrote_does_not_count(journal, write):
    generation = journal.generation("ExampleGen", "settings")
    shutil.rmtree(write(generation))
    write(generation)
    assert journal.generation("ExampleGen", "settings") == generation


def test_an_emptied_volume_shares_no_generation(journal, folder):
    first = journal.generation("ExampleGen", "settings")
    shutil.rmtree(folder.volume)
    assert journal.generation("ExampleGen", "settings") != first


def test_a_damaged_entry_counts_as_an_artifact_that_is_gone(journal, write):
    generation = journal.generation("ExampleGen", "settings")
    write(generation)
    [entry] = journal.folder.rglob("run-1.examples.json")
    entry.write_text("{")
    assert journal.generation("ExampleGen", "settings") != generation


def test_an_artifact_that_cannot_be_read_now_is_not_written_again(journal, write, monkeypatch):
    write(journal.generation("ExampleGen", "settings"))

    def fail(folder):
        raise OSError(errno.ESTALE, "Stale file handle", str(folder))

    monkeypatch.setattr(Listing, "of", fail)
    with pytest.raises(InputError, match=r"examples-\w+ cannot be read: \[Errno 116\] Stale file handle"):
        journal.generation("ExampleGen", "settings")


def test_the_journal_knows_what_a_run_may_read_of_others(journal, write, folder):
    generation = journal.generation("ExampleGen", "settings")
    whole = write(generation)
    journal.enter_run("run-2", "/mnt/serving", [generation])
    [(run, entry)] = journal.runs().items()
    assert (run, entry.push_directory) == ("run-2", "/mnt/serving")
    assert entry.artifacts == (str(whole.relative_to(folder.volume)),)
    assert json.loads((journal.folder / "runs" / "run-2.json").read_text()).keys() == {"push_directory", "artifacts"}


def test_a_volume_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cluster.artifact_directory is .*/file, which cannot be written: "):
        Journal(tmp_path / "file").generation("ExampleGen", "settings")
    with (
        pytest.raises(InputError, match=r"cluster.artifact_directory is .*/file, which cannot be written: "),
        StepFolder(tmp_path / "file", "yt8m", "run", "Trainer").writing(["model"]),
    ):
        pass
