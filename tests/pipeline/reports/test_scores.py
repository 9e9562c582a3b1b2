"""scores.json: what one release writes, any later one reads."""

import json

import pytest

from models.metrics.video_metrics import SCORES
from pipeline.reports.scores import RunScores, SplitScores

# As released versions write it; `train` and `validation` have F1 alone.
WRITTEN = {
    "experiment": "netvlad-8",
    "data": "/data/frame",
    "level": "frame",
    "synthetic": True,
    "model_version": None,
    "blessed": False,
    "splits": {
        "train": {"videos": 960, "f1": 0.9852354526519775, "source": "training, epoch 9 of 12"},
        "validation": {"videos": 120, "f1": 0.9775474667549133, "source": "training, epoch 9 of 12"},
        "test": {
            "videos": 120,
            **dict.fromkeys(SCORES, 0.5),
            "intervals": {"f1": [0.4, 0.6]},
            "source": "Evaluator",
        },
    },
}


def test_what_was_read_is_written_byte_for_byte():
    text = json.dumps(WRITTEN, indent=1)
    assert RunScores.model_validate_json(text).to_json() == text


def test_a_score_that_is_not_a_number_is_written_and_read():
    split = SplitScores(videos=1, f1=float("nan"), source="Evaluator")
    scores = RunScores.model_validate(WRITTEN | {"splits": {"train": split, "validation": split, "test": split}})
    assert json.loads(scores.to_json())["splits"]["test"].keys() == {"videos", "f1", "source"}
    assert "NaN" in scores.to_json()


def test_the_log_of_a_kubeflow_run_is_enough():
    scores = RunScores.model_validate({key: WRITTEN[key] for key in ("synthetic", "splits")})
    assert list(json.loads(scores.to_json())) == ["synthetic", "splits"]


@pytest.mark.parametrize("name", SCORES)
def test_every_score_has_a_field(name):
    assert name in SplitScores.model_fields
