"""`yt8m tune` as a person uses it: over what a run has ingested, with workers, killed and begun again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from models.errors import InputError
from pipeline.command_line import yt8m

RATES = [1e-9, 1e-3, 3e-3, 1e-2]
SPACE = {"training.learning_rate": {"type": "choice", "values": RATES}}
YT8M = str(Path(sys.executable).with_name("yt8m"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on synthetic video-level data, and an experiment to search."""
    made = tmp_path_factory.mktemp("tune")
    sizes = ["--level", "video", "--videos", "160", "--labels", "5"]
    yt8m.main(["synth", *sizes, str(made / "data")], standalone_mode=False)
    tune = {"space": SPACE, "oracle": "grid", "objective": "val_loss", "max_epochs": 2, "stop_hopeless": False}
    training = {"max_epochs": 1, "batch_size": 8}
    entry = {"base": "average-576", "model": {"hidden_units": [8]}, "training": training, "tune": tune}
    (made / "mine.yaml").write_text(yaml.safe_dump({"mine": entry}))
    run(made, "ingested")
    return made


def run(folder, out, *more):
    fixed = ["--data", str(folder / "data"), "--experiment-file", str(folder / "mine.yaml"), "--experiment", "mine"]
    yt8m.main(["run", *fixed, "--out", str(folder / out), *more], standalone_mode=False)
    [card] = (folder / out / "serving").glob("*/assets.extra/model_card.json")
    return json.loads(card.read_text())


def arguments(folder, out, *more, name="mine"):
    fixed = ["--run", str(folder / "ingested"), "--experiment-file", str(folder / "mine.yaml")]
    return ["tune", name, *fixed, "--out", str(folder / out), *more]


def tune(folder, out, *more, **name):
    yt8m.main(arguments(folder, out, *more, **name), standalone_mode=False)
    return trials(folder, out)


def trials(folder, out):
    return json.loads((folder / out / "trials.json").read_text())["trials"]


def wait_for(process, is_so):
    deadline = time.monotonic() + 240
    while not is_so():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def started(folder, out, *more):
    return subprocess.Popen([YT8M, *arguments(folder, out, *more)], stdout=subprocess.PIPE, text=True)


def test_a_search_leaves_what_a_run_can_start_from(folder, capsys):
    found = tune(folder, "searched")
    best = min(found, key=lambda trial: trial["scores"]["val_loss"])
    assert [trial["values"]["training.learning_rate"] for trial in found] == RATES
    assert "4 of 4 trials scored, best val_loss" in capsys.readouterr().out
    assert "Grid search" in (folder / "searched" / "trials.html").read_text()
    assert len(list((folder / "searched" / "logs" / "trials").glob("*/*.hparams"))) == 4
    card = run(folder, "trained", "--hyperparameters", str(folder / "searched" / "hyperparameters"))
    assert card["training"]["learning_rate"] == best["values"]["training.learning_rate"]


def test_what_does_not_fit_is_refused_in_one_line(folder):
    with pytest.raises(InputError, match=r"which has no metadata\.sqlite, expected the folder of a `yt8m run`"):
        tune(folder, "no", "--run", str(folder))
    with pytest.raises(InputError, match="netvlad-8 reads frame-level records, --run holds video-level ones"):
        tune(folder, "no", name="netvlad-8")
    with pytest.raises(InputError, match=r"--set data\.split is no setting of a search, allowed: those of level"):
        tune(folder, "no", "--set", "data.split=id:80/10/10")


def test_killed_it_goes_on_and_repeats_no_finished_trial(folder):
    process = started(folder, "killed")
    wait_for(process, lambda: list((folder / "killed" / "search").glob("*/trial_*1/checkpoint/checkpoint.json")))
    process.kill()
    process.wait()
    [first] = (folder / "killed" / "search").glob("*/trial_*0/training_log.json")
    written = first.stat().st_mtime_ns
    found = tune(folder, "killed")
    assert first.stat().st_mtime_ns == written
    assert [trial["values"]["training.learning_rate"] for trial in found] == RATES
    assert all(trial["scores"] for trial in found)


def workers_of(process):
    return [child for child in psutil.Process(process.pid).children() if "components.tuner.worker" in child.cmdline()]


def test_workers_share_a_search_and_one_that_dies_is_named(folder):
    process = started(folder, "parallel", "--workers", "2", "--set", "tune.max_epochs=6")
    try:
        wait_for(process, lambda: list((folder / "parallel" / "search").glob("*/trial_*/checkpoint/checkpoint.json")))
        lost = workers_of(process)[0]
        assert lost.environ()["KERASTUNER_TUNER_ID"] == "worker0"
        wait_for(process, lambda: len(list((folder / "parallel" / "search").glob("*/trial_*"))) == 2)
        lost.send_signal(signal.SIGKILL)
        out, _ = process.communicate(timeout=400)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "worker0 died (killed by SIGKILL)" in out and "worker1: trial" in out
    found = trials(folder, "parallel")
    assert len(found) == len(RATES)
    [failed] = [trial for trial in found if not trial["scores"]]
    assert failed["reason"] == "worker0 died (killed by SIGKILL)"


def test_workers_end_with_the_process_that_started_them(folder):
    process = started(folder, "orphans", "--workers", "2")
    wait_for(process, lambda: len(workers_of(process)) == 2)
    workers = workers_of(process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
