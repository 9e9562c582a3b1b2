"""`yt8m run --tune` as a person uses it: a search, a training with its winner, and that winner in another run."""

import json
import shutil

import pytest
import yaml

from components.tuner.component import read_trials
from models.errors import InputError
from pipeline.command_line import yt8m

TINY = ["--set", "training.max_epochs=1", "--set", "training.batch_size=8"]
SPACE = {
    "model.hidden_units": {"type": "choice", "values": [[8], [16, 8]]},
    "training.learning_rate": {"type": "choice", "values": [1e-9, 1e-2]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Synthetic video-level data and an experiment that searches."""
    made = tmp_path_factory.mktemp("tuning")
    sizes = ["--level", "video", "--videos", "160", "--labels", "5"]
    yt8m.main(["synth", *sizes, str(made / "data")], standalone_mode=False)
    tune = {"space": SPACE, "oracle": "grid", "objective": "val_loss", "max_epochs": 1, "stop_hopeless": False}
    (made / "mine.yaml").write_text(yaml.safe_dump({"mine": {"base": "average-576", "tune": tune}}))
    return made


def run(folder, out, *arguments):
    fixed = ["--data", str(folder / "data"), "--experiment-file", str(folder / "mine.yaml"), "--experiment", "mine"]
    yt8m.main(["run", *fixed, "--out", str(folder / out), *TINY, *arguments], standalone_mode=False)
    [card] = (folder / out / "serving").glob("*/assets.extra/model_card.json")
    steps = {step["name"]: step["state"] for step in json.loads((folder / out / "steps.json").read_text())}
    return json.loads(card.read_text()), steps


def test_the_trainer_trains_with_the_winner_of_the_search(folder, capsys):
    card, steps = run(folder, "tuned", "--tune")
    assert steps["Tuner"] == "done"
    results = json.loads((folder / "tuned" / "trials.json").read_text())
    scores = {trial["id"]: trial["scores"]["val_loss"] for trial in results["trials"]}
    assert len(scores) == 4
    best = min(scores, key=scores.get)
    [winner] = [trial for trial in results["trials"] if trial["id"] == best]
    assert card["training"]["learning_rate"] == winner["values"]["training.learning_rate"] == 1e-2
    assert card["model"]["hidden_units"] == winner["values"]["model.hidden_units"]
    assert "4 of 4 trials scored, best val_loss" in capsys.readouterr().out
    log = json.loads((folder / "tuned" / "training_log.json").read_text())
    assert log["epochs"][0]["val_loss"] == pytest.approx(winner["scores"]["val_loss"], rel=1e-6)
    report = folder / "tuned" / "report"
    assert 'href="tuning.html"' in (report / "index.html").read_text()
    assert "Grid search" in (report / "tuning.html").read_text()
    assert len(list((folder / "tuned" / "logs" / "trials").glob("*/*.hparams"))) == 4
    [uri] = (folder / "tuned" / "pipeline_root" / "Tuner" / "tuner_results").iterdir()
    assert read_trials(str(uri)).winner.id == best and (uri / "trials.html").exists()


def test_the_same_command_again_does_not_search_again(folder):
    _, steps = run(folder, "tuned", "--tune")
    assert steps["Tuner"] == steps["Trainer"] == "cached"


def test_another_run_trains_with_what_the_search_found(folder):
    expected, _ = run(folder, "tuned", "--tune")
    card, steps = run(folder, "imported", "--hyperparameters", str(folder / "tuned" / "hyperparameters"))
    assert "Tuner" not in steps and "ImportHyperparameters" in steps
    assert (card["model"], card["training"]) == (expected["model"], expected["training"])
    assert card["model_id"] == expected["model_id"]


def test_what_is_no_result_of_a_search_is_refused_before_any_work(folder):
    with pytest.raises(InputError, match=r"expected a folder with best_hyperparameters\.txt"):
        run(folder, "nothing", "--hyperparameters", str(folder))
    assert not (folder / "nothing" / "pipeline_root").exists()
    with pytest.raises(InputError, match="search and hyperparameters exclude each other"):
        run(folder, "both", "--tune", "--hyperparameters", str(folder / "tuned" / "hyperparameters"))


def test_values_of_another_encoder_are_one_line(folder):
    shutil.copytree(folder / "tuned" / "hyperparameters", folder / "foreign")
    best = folder / "foreign" / "best_hyperparameters.txt"
    best.write_text(best.read_text().replace("model.hidden_units", "model.encoder.clusters"))
    with pytest.raises(InputError, match=r"hyperparameters .*encoder\.average\.clusters: Extra inputs"):
        run(folder, "wrong", "--hyperparameters", str(folder / "foreign"))
