"""The task of Trainer and Tuner: written and read in one form; its identity names the folder of their state."""

import json

import pytest

from components.example_gen.synthetic import SyntheticData
from components.tuner.task import SearchTask
from models.settings import ModelSettings
from models.training_settings import TrainingSettings
from tuner.settings import TuneSettings

TASK = SearchTask(
    experiment="netvlad-8",
    data="/data",
    level="frame",
    model=ModelSettings(encoder={"name": "netvlad", "clusters": 8}, hidden_units=(16,)),
    training=TrainingSettings(max_epochs=2),
    names=("a", "b"),
    seed=1,
    state_dir="/out/search",
    log_dir="",
    sources="1",
    tune=TuneSettings(space={"model.dropout": {"type": "float", "min": 0.0, "max": 0.5}}),
    synthetic=SyntheticData(synthetic=True),
    executor_sources="2",
)


def test_a_task_reads_as_it_was_written():
    assert SearchTask.read(json.loads(json.dumps(TASK.custom_config()))) == TASK


@pytest.mark.parametrize(
    "change",
    [
        {"state_dir": "/elsewhere"},
        {"log_dir": "/logs"},
        {"executor_sources": "3"},
        {"synthetic": None},
        {"tune": TASK.tune.model_copy(update={"workers": 2})},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_change_that_affects_no_result_keeps_the_identity(change):
    assert TASK.model_copy(update=change).identity() == TASK.identity()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2},
        {"sources": "3"},
        {"names": ("a", "c")},
        {"soft_targets": "/out/soft_targets/7"},
        {"tune": TASK.tune.model_copy(update={"max_trials": 2})},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_change_that_may_affect_a_result_changes_the_identity(change):
    assert TASK.model_copy(update=change).identity() != TASK.identity()
