"""Which data and experiments the benchmark of learnability runs, and the table that it prints."""

import json
import subprocess
from pathlib import Path

import learnability
import pytest
import yaml


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Replaces `yt8m` by what it writes; returns the commands. Data and runs are in `tmp_path`."""
    called = []

    def replacement(command, check):
        words = [str(word) for word in command[1:]]
        called.append(words)
        out = Path(words[-1])
        if words[0] == "synth":
            oracle = {"videos": 1500, "labels": 30, "oracle": {"micro_f1": 0.8}}
            out.mkdir()
            (out / "oracle.json").write_text(json.dumps(oracle))
            return
        names = words[words.index("--experiment") + 1].split(",")
        for folder in [out] if len(names) == 1 else [out / name for name in names]:
            folder.mkdir(parents=True)
            (folder / "scores.json").write_text(json.dumps({"splits": {"test": {"f1": 0.6}}}))
            log = {"epochs": [{"seconds": 4.0}, {"seconds": 2.0}, {"seconds": 3.0}], "parameters": 1234}
            (folder / "training_log.json").write_text(json.dumps(log))

    monkeypatch.setattr(subprocess, "run", replacement)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    return called


def test_by_default_all_small_experiments_learn_from_10000_videos(commands):
    learnability.main([])
    synth, run = commands
    assert synth[:5] == ["synth", "--level", "frame", "--videos", "10000"]
    assert run[run.index("--experiment") + 1].split(",") == list(yaml.safe_load(learnability.FILE.read_text()))


@pytest.mark.parametrize("names", [["lstm-small"], ["lstm-small", "gru-small"]])
def test_chosen_experiments_learn_from_few_videos(commands, capsys, names):
    learnability.main(["--videos", "1500", "--labels", "30", "--experiments", *names])
    synth, run = commands
    assert synth[3:7] == ["--videos", "1500", "--labels", "30"]
    assert run[run.index("--experiment") + 1] == ",".join(names)
    rows = [f"| {name} | 0.6000 | 0.750 | 3 | 3 | 1,234 |" for name in names]
    assert capsys.readouterr().out.splitlines()[3:] == rows


def test_an_experiment_of_another_name_is_refused(commands, capsys):
    with pytest.raises(SystemExit):
        learnability.main(["--experiments", "lstm"])
    assert "invalid choice: 'lstm'" in capsys.readouterr().err and not commands
