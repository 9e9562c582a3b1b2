"""`yt8m gc` removes from the volume of large artifacts what no run, schedule or serving model needs."""

import json
import os
import time
from pathlib import Path

import pytest

from components.served_models import ArchitectureCard, EncoderCard, ModelCard
from pipeline.kubeflow.container.journal import Journal
from pipeline.kubeflow.container.pointers import Pointer
from pipeline.kubeflow.container.volume import StepFolder

PACKAGE = Path(__file__).parents[1] / "netvlad-8.yaml"


@pytest.fixture
def volume(tmp_path):
    Journal(tmp_path / "artifacts").generation("ExampleGen", "settings")  # as the first step of the first run does
    return tmp_path / "artifacts"


@pytest.fixture
def write(volume, tmp_path):
    """Writes an artifact as a step of a run does; returns its folder on the volume."""

    def build(run, step="ExampleGen", output="examples", generation="", model_id=""):
        folder, copy = StepFolder(volume, "yt8m", run, step), tmp_path / "copy"
        copy.mkdir(exist_ok=True)
        with folder.writing([output]) as written:
            (written[output] / "file").write_text("x" * 1000)
            if model_id:
                put_model(written[output] / "Format-Serving", model_id)
            folder.publish(written, {output: copy}, generation)
        return volume / Pointer.read(copy / "pointer.json").path

    return build


def put_model(folder, model_id):
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "saved_model.pb").touch()
    architecture = ArchitectureCard(encoder=EncoderCard(name="average"))
    ModelCard(level="frame", model_id=model_id, model=architecture).write(str(folder))


def age(folder, days):
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (time.time() - days * 86400,) * 2)


@pytest.fixture
def ended(submit, api_server):
    """Id of a run that has succeeded."""
    run = submit()["run_id"]
    api_server.advance(run, "SUCCEEDED")
    return run


@pytest.fixture
def listed(kfp, volume):
    """Runs the command on the volume; returns why each artifact can be removed, and why each is kept, by its path."""

    def run(*options):
        code, out, err = kfp("gc", volume, "--json", *options)
        assert code == 0, err
        answer = json.loads(out)
        return [{Path(row["path"]): row["why"] for row in answer[key]} for key in ("leftovers", "kept")]

    return run


def test_what_nothing_needs_is_listed_and_removed_with_delete(write, ended, listed, kfp, volume):
    whole = write(ended)
    age(volume, 2)
    assert listed() == [{whole: "artifact that nothing needs"}, {}]
    assert whole.exists()
    code, out, _ = kfp("gc", volume, "--delete")
    assert code == 0 and f" bytes  {whole}  (artifact that nothing needs)\n1 leftover, 0.0 MB: removed\n" in out
    assert [path.name for path in volume.iterdir() if path.name != "journal"] == ["yt8m"]
    assert list((volume / "yt8m").iterdir()) == []


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "CANCELING"])
def test_runs_under_way_keep_what_they_wrote_and_what_they_may_find_cached(
    write, ended, submit, api_server, listed, volume, state
):
    cached = write(ended, generation="ExampleGen/settings/0")
    run = submit()["run_id"]
    api_server.advance(run, state)
    Journal(volume).enter_run(run, "/mnt/serving", ["ExampleGen/settings/0"])
    written = write(run, "Transform", "transformed_examples")
    unused = write(ended, "Transform", "transformed_examples")
    half = written.rename(written.with_name(".writing-transformed_examples-1"))
    age(volume, 2)
    why = f"run {run} is under way"
    assert listed() == [{unused: "artifact that nothing needs"}, {cached: why, half: why}]


def test_the_last_run_of_a_schedule_keeps_what_the_next_one_finds_cached(kfp, api_server, write, listed, volume):
    assert kfp("schedule", "create", "weekly", "--cron", "0 3 * * 1", "--package", PACKAGE)[0] == 0
    [schedule] = api_server.state.recurring_runs
    first, last, failed = [api_server.tick(schedule)["run_id"] for _ in range(3)]
    api_server.advance(first, "SUCCEEDED")
    api_server.advance(last, "SUCCEEDED")
    api_server.advance(failed, "FAILED")  # before it could enter itself
    old, new = [write(run, generation=f"ExampleGen/{run}/0") for run in (first, last)]
    for run in (first, last):
        Journal(volume).enter_run(run, "/mnt/serving", [f"ExampleGen/{run}/0"])
    age(volume, 2)
    assert listed() == [{old: "artifact that nothing needs"}, {new: f"run {last} is the last of schedule weekly"}]


def test_the_model_that_serves_is_kept(write, ended, listed, volume, tmp_path):
    serving = tmp_path / "serving"
    for version, model_id in (("1", "old"), ("2", "new")):
        put_model(serving / version, model_id)
    Journal(volume).enter_run(ended, str(serving), [])
    old, new = [write(ended, "Trainer", "model", model_id=model_id) for model_id in ("old", "new")]
    age(volume, 2)
    assert listed() == [{old: "artifact that nothing needs"}, {new: f"serves as {serving}/2"}]


def test_nothing_younger_than_a_day_is_removed(write, ended, submit, listed, volume):
    whole = write(ended)
    with StepFolder(volume, "yt8m", ended, "Trainer").writing(["model"]) as written:
        half = written["model"]
        assert listed() == [{}, {whole: "younger than a day", half: "younger than a day"}]
        age(volume, 2)
        assert listed() == [{whole: "artifact that nothing needs", half: "half-written artifact"}, {}]
    Journal(volume).enter_run(ended, "/mnt/serving", [])
    assert listed() == [{}, dict.fromkeys((whole, half), f"run {ended} began less than a day ago")]


def test_removed_artifacts_begin_a_new_generation(write, ended, listed, volume):
    journal = Journal(volume)
    generation = journal.generation("ExampleGen", "settings")
    write(ended, generation=generation)
    age(volume, 2)
    listed("--delete")
    assert journal.generation("ExampleGen", "settings") != generation


def test_without_kubeflow_pipelines_nothing_is_removed(yt8m, write, volume):
    whole = write("run")
    age(volume, 2)
    code, _, err = yt8m("gc", volume, "--delete")
    assert code == 2 and err.startswith("error: no --endpoint") and whole.exists()


def test_a_damaged_entry_of_a_run_is_named(kfp, write, volume):
    write("run")
    Journal(volume).enter_run("run", "/mnt/serving", [])
    (volume / "journal" / "runs" / "run.json").write_text("{")
    code, _, err = kfp("gc", volume)
    assert code == 2 and f"{volume}/journal/runs/run.json is no entry of a run" in err
