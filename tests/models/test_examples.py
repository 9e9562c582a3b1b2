"""The examples of the docstrings: they run, and every public layer and main function has one."""

import doctest
import inspect
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages
from types import ModuleType

import pytest

import models
import tuner

MODULES = [
    module.name
    for package in (models, tuner)
    for module in walk_packages(package.__path__, f"{package.__name__}.")
    if not module.ispkg
]

# Beside all layers and functions of models/encoders and models/layers.
MAIN = {
    "models.cost.cost",
    "models.ensemble.build_ensemble",
    "models.metrics.bootstrap.interval",
    "models.metrics.findings.Findings",
    "models.metrics.outcomes.Outcomes.of",
    "models.metrics.outcomes.best_labels",
    "models.metrics.scoring.score",
    "models.metrics.video_metrics.VideoMetrics",
    "models.settings.ModelSettings",
    "models.training_settings.TrainingSettings",
    "models.training.train.train",
    "models.video_classifier.build_video_classifier",
    "models.vocabulary.read_vocabulary",
    "tuner.search.Search",
    "tuner.settings.TuneSettings",
    "tuner.space.search_space",
}

# An abstract class, and cells of a layer.
WITHOUT_EXAMPLE = {
    "models.encoders.cluster_pooling.ClusterPooling",
    "models.encoders.recurrent.GRUCell",
    "models.encoders.recurrent.LSTMCell",
}


def examples(module: ModuleType) -> list[doctest.DocTest]:
    return [test for test in doctest.DocTestFinder().find(module) if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_show(name: str) -> None:
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    for test in examples(import_module(name)):
        runner.run(test, out=report.append)
    assert not report, "".join(report)


def public_names(name: str) -> Iterator[str]:
    module = import_module(name)
    for member, value in vars(module).items():
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == name and member[0] != "_":
            yield f"{name}.{member}"


def test_layers_and_main_functions_have_an_example() -> None:
    shown = {test.name for name in MODULES for test in examples(import_module(name))}
    layers = {
        member
        for name in MODULES
        if name.startswith(("models.encoders.", "models.layers."))
        for member in public_names(name)
    }
    assert not (MAIN | layers) - WITHOUT_EXAMPLE - shown
