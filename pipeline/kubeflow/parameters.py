"""The parameters of a run (data, experiment, overrides) and the settings that a container makes of them."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from components.drift_detector.settings import DriftSettings
from components.example_gen.component import resolve_data
from components.source_fingerprint import source_fingerprint
from models.errors import InputError, quote
from models.settings import AverageSettings, ModelSettings, Settings
from models.vocabulary import Vocabulary
from pipeline.create_pipeline import MODULES
from pipeline.data.preparation import prepare
from pipeline.experiments import parse_experiment
from pipeline.kubeflow.graph import Places, build_pipeline, edges
from pipeline.settings import EvaluationSettings, RunSettings, resolve_settings
from pipeline.steps import PER_EXPERIMENT, Step

# The first step: makes settings of a run's parameters, for all others.
RESOLVER = "ResolveSettings"

# Its outputs: for the steps before training, and for the others.
OF_THE_DATA, OF_THE_RUN = "data_settings", "settings"


class ResolvedSettings(Settings):
    """What the first step tells the others; a change runs a step again.

    Attributes:
        settings: of the run, with the newest spans in its pattern.
        span: the newest one.
        shards: fingerprint of the shards.
        vocabulary: fingerprint of the labels.
        sources: fingerprint of the code of the steps, for images that keep their name.
    """

    settings: RunSettings
    span: int
    shards: str
    vocabulary: str
    sources: str

    def for_steps(self) -> dict[str, str]:
        """As JSON by the name of the first step's outputs."""
        return {OF_THE_DATA: self._of_the_data().model_dump_json(), OF_THE_RUN: self.model_dump_json()}

    def _of_the_data(self) -> "ResolvedSettings":
        # Nothing of the experiment: the steps before training are the same for all, and so found in KFP's cache.
        settings = self.settings
        shared = RunSettings(
            experiment="",
            level=settings.level,
            model=ModelSettings(encoder=AverageSettings(name="average")),
            data=settings.data.model_copy(update={"drift": DriftSettings()}),
            evaluation=EvaluationSettings(slices=settings.evaluation.slices),
            beam=settings.beam,
            seed=settings.seed,
        )
        nodes = MODULES.keys() - set(PER_EXPERIMENT)
        return self.model_copy(update={"settings": shared, "sources": _sources(nodes)})


def read_parameters(data: str, experiment: str, overrides: str) -> RunSettings:
    """The settings that `yt8m run` would make of them.

    Args:
        data: pattern of the raw shards.
        experiment: of the catalogue, or an entry of an experiment file.
        overrides: JSON, a list of `key=value` or an object of keys and values.

    Raises:
        InputError: names the parameter, the value and what is allowed.
    """
    try:
        given: Any = json.loads(overrides or "[]")
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, or a thousand brackets
        raise InputError(f"overrides is {quote(overrides)}: no JSON: {error}") from None
    options = {"data.pattern": data}
    if isinstance(given, dict):
        return resolve_settings(parse_experiment(experiment), options | given)
    if isinstance(given, list) and all(isinstance(item, str) for item in given):
        return resolve_settings(parse_experiment(experiment), options, given)
    raise InputError(
        f"overrides is {quote(overrides)}, expected a JSON list of key=value or an object, "
        'say ["training.max_epochs=3"] or {"training.max_epochs": 3}'
    )


def resolve_parameters(
    data: str, experiment: str, overrides: str, places: Places, graph: Sequence[str]
) -> ResolvedSettings:
    """Looks at the data and refuses, before any work, what the package cannot do.

    Args:
        data: see `read_parameters`.
        experiment: the same.
        overrides: the same.
        places: of the package.
        graph: the edges that the package was compiled with.

    Raises:
        InputError: the parameters are wrong, the data cannot be used, or they need another graph.
    """
    settings = read_parameters(data, experiment, overrides)
    resolved = resolve_data(
        settings.data.pattern,
        settings.data.test_data,
        spans=settings.data.spans,
        split=settings.data.split,
        seed=settings.seed,
        level=settings.level,
    )
    pinned = settings.data.model_copy(update={"pattern": resolved.data, "test_data": resolved.test_data, "spans": 1})
    settings, vocabulary = prepare(settings.model_copy(update={"data": pinned}), places.push_directory)
    _refuse_another_graph(edges(build_pipeline(settings, vocabulary, places)), graph, settings.experiment)
    return ResolvedSettings(
        settings=settings,
        span=resolved.span,
        shards=resolved.fingerprint,
        vocabulary=_fingerprint(vocabulary),
        sources=_sources(MODULES),
    )


def _refuse_another_graph(needed: Sequence[str], compiled: Sequence[str], experiment: str) -> None:
    lacks, has = (sorted(set(one) - set(other)) for one, other in ((needed, compiled), (compiled, needed)))
    if lacks or has:
        raise InputError(
            f"{experiment} with these overrides needs another graph than this package has (missing: "
            f"{', '.join(lacks) or 'nothing'}; too much: {', '.join(has) or 'nothing'}): what a model reads, a search "
            "and found hyperparameters are fixed, compile anew with this experiment and these overrides"
        )


def _sources(nodes: Iterable[Step]) -> str:
    return source_fingerprint(*(module for node in nodes for module in MODULES[node]))


def _fingerprint(vocabulary: Vocabulary) -> str:
    return hashlib.sha256(json.dumps([vocabulary.names, vocabulary.verticals]).encode()).hexdigest()
