"""A search as users run it: `yt8m run --tune`, `yt8m tune` on the data of that run, and a run with the winner."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml

from components.tuner.component import read_trials
from models.errors import InputError
from pipeline.cli import yt8m
from pipeline.steps import PAGES

YT8M = str(Path(sys.executable).with_name("yt8m"))
TINY = ["--set", "training.max_epochs=1", "--set", "training.batch_size=8"]
SPACE = {
    "model.hidden_units": {"type": "choice", "values": [[8], [16, 8]]},
    "training.learning_rate": {"type": "choice", "values": [1e-9, 1e-2]},
}
RATES = [1e-9, 1e-3, 3e-3, 1e-2]


def searching(space, **changes):
    tune = {"space": space, "oracle": "grid", "objective": "val_loss", "max_epochs": 1, "stop_hopeless": False}
    return {"base": "average-576", "model": {"hidden_units": [8]}, "tune": tune | changes}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, means):
    """Two experiments that search on video-level data; the second searches learning rates only."""
    made = tmp_path_factory.mktemp("tuning")
    (made / "data").symlink_to(means)
    rates = searching({"training.learning_rate": {"type": "choice", "values": RATES}}, max_epochs=2)
    (made / "mine.yaml").write_text(yaml.safe_dump({"mine": searching(SPACE), "rates": rates}))
    return made


def run(folder, out, *arguments):
    """Runs `yt8m run`; returns the card of the newest model and the state of each step."""
    fixed = ["--data", str(folder / "data"), "--experiment-file", str(folder / "mine.yaml"), "--experiment", "mine"]
    yt8m.main(["run", *fixed, "--out", str(folder / out), *TINY, *arguments], standalone_mode=False)
    cards = (folder / out / "pipeline_root" / "Trainer" / "model").glob("*/*/assets.extra/model_card.json")
    card = max(cards, key=lambda path: int(path.parents[2].name))
    steps = {step["name"]: step["state"] for step in json.loads((folder / out / "steps.json").read_text())}
    return json.loads(card.read_text()), steps


@pytest.fixture(scope="module")
def tuned(folder):
    """A run with a search: its folder, the results of `run`, and its output."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        card, steps = run(folder, "tuned", "--tune")
    return SimpleNamespace(folder=folder / "tuned", card=card, steps=steps, printed=printed.getvalue())


def arguments(folder, out, *more, name="rates"):
    """Arguments of `yt8m tune`."""
    fixed = ["--run", str(folder / "tuned"), "--experiment-file", str(folder / "mine.yaml"), *TINY]
    return ["tune", name, *fixed, "--out", str(folder / out), *more]


def tune(folder, out, *more, **name):
    yt8m.main(arguments(folder, out, *more, **name), standalone_mode=False)
    return trials(folder / out)


def trials(out):
    return json.loads((out / "trials.json").read_text())["trials"]


def best_of(trials):
    return min((trial for trial in trials if trial["scores"]), key=lambda trial: trial["scores"]["val_loss"])


def test_the_trainer_trains_with_the_winner_of_the_search(tuned):
    assert tuned.steps["Tuner"] == "done"
    results = trials(tuned.folder)
    winner = best_of(results)
    assert len(results) == 4 and all(trial["scores"] for trial in results)
    assert tuned.card["training"]["learning_rate"] == winner["values"]["training.learning_rate"] == 1e-2
    assert tuned.card["model"]["hidden_units"] == winner["values"]["model.hidden_units"]
    assert "4 of 4 trials scored, best val_loss" in tuned.printed
    log = json.loads((tuned.folder / "training_log.json").read_text())
    assert log["epochs"][0]["val_loss"] == pytest.approx(winner["scores"]["val_loss"], rel=1e-6)
    report = tuned.folder / "report"
    assert 'href="tuning.html"' in (report / "index.html").read_text()
    tuning = (report / "tuning.html").read_text()
    assert "Grid search" in tuning and "Synthetic data." in tuning
    assert len(list((tuned.folder / "logs" / "trials").glob("*/*.hparams"))) == 4
    [uri] = (tuned.folder / "pipeline_root" / "Tuner" / "tuner_results").iterdir()
    assert read_trials(str(uri)).winner.id == winner["id"] and (uri / PAGES["tuning"].file).exists()
    assert "Synthetic data." in (uri / PAGES["tuning"].file).read_text()


def test_the_same_command_again_does_not_search_again(folder, tuned):
    _, steps = run(folder, "tuned", "--tune")
    assert steps["Tuner"] == steps["Trainer"] == "cached"


@pytest.fixture(scope="module")
def searched(folder, tuned):
    """`yt8m tune` of the same space over the same data: its folder, trials and output."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        searched_trials = tune(folder, "searched", name="mine")
    return SimpleNamespace(folder=folder / "searched", trials=searched_trials, printed=printed.getvalue())


def test_a_search_without_a_pipeline_has_the_same_result(searched, tuned):
    assert [trial["values"] for trial in searched.trials] == [trial["values"] for trial in trials(tuned.folder)]
    assert "4 of 4 trials scored, best val_loss" in searched.printed
    [page] = searched.folder.rglob("*.html")
    assert page == searched.folder / PAGES["tuning"].file and "Grid search" in page.read_text()
    assert "Synthetic data." in page.read_text()
    assert len(list((searched.folder / "logs" / "trials").glob("*/*.hparams"))) == 4


@pytest.mark.no_cover
def test_another_run_trains_with_the_result_of_the_search_and_again_when_it_changed(folder, tuned, searched):
    hyperparameters = searched.folder / "hyperparameters"
    shutil.rmtree(tuned.folder / "checkpoints")  # the run with the search trained with the same values
    card, steps = run(folder, "tuned", "--hyperparameters", str(hyperparameters))
    assert steps["Trainer"] == "done" and list((tuned.folder / "checkpoints").iterdir())
    assert "Tuner" not in steps and "ImportHyperparameters" in steps
    assert card["training"]["learning_rate"] == best_of(searched.trials)["values"]["training.learning_rate"]
    assert (card["model"], card["training"]) == (tuned.card["model"], tuned.card["training"])
    assert card["model_id"] == tuned.card["model_id"]

    best = hyperparameters / "best_hyperparameters.txt"
    content = json.loads(best.read_text())
    content["values"]["training.learning_rate"] = 1e-9
    best.write_text(json.dumps(content))
    card, steps = run(folder, "tuned", "--hyperparameters", str(hyperparameters))
    assert (steps["Transform"], steps["Trainer"]) == ("cached", "done")
    assert card["training"]["learning_rate"] == 1e-9


def test_a_folder_without_the_result_of_a_search_is_refused_before_any_work(folder, searched):
    with pytest.raises(InputError, match=r"expected a folder with best_hyperparameters\.txt"):
        run(folder, "nothing", "--hyperparameters", str(folder))
    assert not (folder / "nothing" / "pipeline_root").exists()
    with pytest.raises(InputError, match="search and hyperparameters exclude each other"):
        run(folder, "both", "--tune", "--hyperparameters", str(searched.folder / "hyperparameters"))


def test_options_that_do_not_fit_a_search_are_refused_in_one_line(folder, tuned):
    with pytest.raises(InputError, match=r"which has no metadata\.sqlite, expected the folder of a `yt8m run`"):
        tune(folder, "no", "--run", str(folder))
    with pytest.raises(InputError, match="netvlad-8 reads frame-level records, --run holds video-level ones"):
        tune(folder, "no", name="netvlad-8")
    with pytest.raises(InputError, match=r"--set data\.split is not a setting of a search, allowed: those of level"):
        tune(folder, "no", "--set", "data.split=id:80/10/10")
    with pytest.raises(InputError, match=r"training\.teachers is set, allowed in a search outside a run: none"):
        tune(folder, "no", "--set", f"training.teachers=[{folder}]")


def started(folder, out, *more):
    """Starts `yt8m tune` in a folder that has packages with the names of ours."""
    for package in ("components", "models", "pipeline", "tuner"):
        (folder / "elsewhere" / package).mkdir(parents=True)
        (folder / "elsewhere" / package / "__init__.py").write_text("raise SystemExit('not ours')")
    command = [YT8M, *arguments(folder, out, *more)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder / "elsewhere")


def wait_for(process, condition):
    """Waits for a condition; fails if the process ends or ten minutes pass."""
    deadline = time.monotonic() + 600
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def workers_of(process):
    return [child for child in psutil.Process(process.pid).children() if "components.tuner.worker" in child.cmdline()]


def completed(search):
    """The logs of the trials that the oracle has recorded."""
    states = search.glob("*/trial_*/trial.json")
    return [path.with_name("training_log.json") for path in states if '"COMPLETED"' in path.read_text()]


def test_a_killed_search_ends_its_workers_resumes_and_repeats_no_finished_trial(folder, tuned):
    search = folder / "killed" / "search"
    with started(folder, "killed", "--workers", "2") as process:
        wait_for(process, lambda: completed(search))
        workers = workers_of(process)
        process.kill()
    _, alive = psutil.wait_procs(workers, timeout=600)
    assert len(workers) == 2 and not alive
    finished = {path: path.stat().st_mtime_ns for path in completed(search)}
    results = tune(folder, "killed")
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert sorted(trial["values"]["training.learning_rate"] for trial in results) == RATES
    assert all(trial["scores"] for trial in results)


def test_workers_share_a_search_and_a_crashed_worker_is_named(folder, tuned, capfd):
    search, this = folder / "parallel" / "search", SimpleNamespace(pid=os.getpid(), poll=lambda: None)
    lost = []

    def kill_a_worker():
        wait_for(this, lambda: list(search.glob("*/trial_*/checkpoint/checkpoint.json")))
        [worker] = [worker for worker in workers_of(this) if worker.environ()["KERASTUNER_TUNER_ID"] == "worker0"]
        wait_for(this, lambda: len(list(search.glob("*/trial_*"))) == 2)
        worker.send_signal(signal.SIGKILL)
        lost.append(worker)

    killer = threading.Thread(target=kill_a_worker)
    killer.start()
    results = tune(folder, "parallel", "--workers", "2", "--set", "tune.max_epochs=6")
    killer.join()
    printed = capfd.readouterr().out
    assert lost and "worker0 crashed (killed by SIGKILL)" in printed and "worker1: trial" in printed
    assert len(results) == len(RATES)
    [failed] = [trial for trial in results if not trial["scores"]]
    assert failed["reason"] == "worker0 crashed (killed by SIGKILL)"


def test_values_of_another_encoder_are_one_line(folder, tuned, searched):
    shutil.copytree(searched.folder / "hyperparameters", folder / "foreign")
    best = folder / "foreign" / "best_hyperparameters.txt"
    best.write_text(best.read_text().replace("model.hidden_units", "model.encoder.clusters"))
    with pytest.raises(InputError, match=r"hyperparameters .*encoder\.average\.clusters: Extra inputs"):
        run(folder, "tuned", "--hyperparameters", str(folder / "foreign"))
