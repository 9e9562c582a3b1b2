"""The parameters of a run (data, experiment, overrides), and the settings that the first step resolves them to."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from components.drift_detector.settings import DriftSettings
from components.example_gen.component import resolve_data
from components.example_gen.synthetic import SyntheticData
from components.source_fingerprint import source_fingerprint
from components.trainer.members import model_ids
from models.errors import InputError, quote
from models.settings import AverageSettings, ModelSettings, Settings
from models.training_settings import TrainingSettings
from models.vocabulary import Vocabulary
from pipeline.beam_settings import BeamSettings
from pipeline.create_pipeline import MODULES
from pipeline.data.preparation import prepare
from pipeline.experiments import parse_experiment
from pipeline.kubeflow.graph import Places, build_pipeline, edges
from pipeline.kubeflow.outputs import LARGE_OUTPUTS
from pipeline.settings import DataSettings, EvaluationSettings, RunSettings, resolve_settings
from pipeline.steps import PER_EXPERIMENT, TRAITS, Step
from tuner.settings import TuneSettings

# The first step: resolves a run's parameters to settings for all other steps.
RESOLVER = "ResolveSettings"

# Its outputs: the settings that the steps of a group read. A step that read others too would leave KFP's cache whenever
# one of them changes.
DATA_SETTINGS, TRAINING_SETTINGS, EVALUATION_SETTINGS = "data_settings", "training_settings", "evaluation_settings"
TEACHER_SETTINGS, RUN_SETTINGS = "teacher_settings", "settings"

# The parameter of steps whose large outputs stay on a volume, see `pipeline.kubeflow.container.journal`, and the output
# of the first step that each reads it from.
GENERATION = "generation"
GENERATION_OUTPUTS = {step: f"{step}_{GENERATION}" for step in LARGE_OUTPUTS if TRAITS[step].cached}

_OUTPUTS = {
    Step.TEACHER_PREDICTIONS: TEACHER_SETTINGS,
    Step.TUNER: TRAINING_SETTINGS,
    Step.TRAINER: TRAINING_SETTINGS,
    Step.EVALUATOR: EVALUATION_SETTINGS,
}


def require_shared_artifacts(beam: BeamSettings, on_volume: bool) -> None:
    """Checks that workers of an engine see what steps read and write.

    Args:
        beam: of the run.
        on_volume: whether the package keeps artifacts on a volume.

    Raises:
        InputError: Beam runs on an engine, and artifacts are on the disks of pods.
    """
    if beam.on_engine and not on_volume:
        raise InputError(
            f"beam.runner is {beam.runner}, which needs a package with cluster.artifacts: volume: workers of an engine "
            "do not see the disks of pods"
        )


def settings_output(step: str) -> str:
    """The output of the first step that another one reads."""
    return _OUTPUTS.get(Step(step), RUN_SETTINGS if step in PER_EXPERIMENT else DATA_SETTINGS)


class ResolvedSettings(Settings):
    """Output of the first step and input of all others: a change makes KFP run a step again.

    Attributes:
        settings: settings of the run, with the newest spans in its pattern and the file of its vocabulary.
        span: number of the newest span.
        shards: fingerprint of the shards.
        vocabulary: fingerprint of the labels.
        synthetic: description of synthetic shards; None for others.
        sources: fingerprint of the steps' code, as an image may change under the same name.
        teachers: ids of the models that are the teachers; only the step that predicts with them reads these.
    """

    settings: RunSettings
    span: int
    shards: str
    vocabulary: str
    synthetic: SyntheticData | None
    sources: str
    teachers: tuple[str, ...] = ()

    def for_steps(self) -> dict[str, str]:
        """JSON by output of the first step."""
        views = {
            DATA_SETTINGS: self._view(DATA_SETTINGS, self._data_settings()),
            TEACHER_SETTINGS: self._view(TEACHER_SETTINGS, self._teacher_settings()),
            TRAINING_SETTINGS: self._view(TRAINING_SETTINGS, self._training_settings()),
            EVALUATION_SETTINGS: self._view(EVALUATION_SETTINGS, self._evaluation_settings()),
            RUN_SETTINGS: self,
        }
        return {name: view.model_dump_json() for name, view in views.items()}

    def _view(self, output: str, settings: RunSettings) -> "ResolvedSettings":
        sources = _sources(step for step in MODULES if settings_output(step) == output)
        teachers = self.teachers if output == TEACHER_SETTINGS else ()
        return self.model_copy(update={"settings": settings, "sources": sources, "teachers": teachers})

    def _data_settings(self) -> RunSettings:
        # Without the experiment's own settings: KFP then takes the steps before training from its cache for all
        # experiments on the same data.
        settings = self.settings
        return RunSettings(
            experiment="",
            level=settings.record_level,
            model=ModelSettings(encoder=AverageSettings(name="average")),
            data=_without_drift(settings),
            evaluation=EvaluationSettings(slices=settings.evaluation.slices),
            beam=settings.beam,
            seed=settings.seed,
        )

    def _teacher_settings(self) -> RunSettings:
        training = TrainingSettings(teachers=self.settings.training.teachers)
        return self._data_settings().model_copy(update={"training": training})

    def _training_settings(self) -> RunSettings:
        settings = self.settings
        return settings.model_copy(
            update={
                "data": _without_drift(settings),
                "evaluation": EvaluationSettings(),
                "beam": BeamSettings(),
                "tune": _tune(settings),
                "published": None,
            }
        )

    def _evaluation_settings(self) -> RunSettings:
        # The Evaluator's log holds the settings of the run, for comparisons.
        settings = self.settings
        return settings.model_copy(update={"data": _without_drift(settings), "tune": _tune(settings)})


def _tune(settings: RunSettings) -> TuneSettings | None:
    return settings.tune if settings.search else None


def _without_drift(settings: RunSettings) -> DataSettings:
    return settings.data.model_copy(update={"drift": DriftSettings()})


def read_parameters(data: str, experiment: str, overrides: str) -> RunSettings:
    """The settings of a run, as `yt8m run` would resolve them.

    Args:
        data: pattern of the raw shards.
        experiment: name in the catalogue, or an entry of an experiment file.
        overrides: JSON, a list of `key=value` or an object of keys and values.

    Raises:
        InputError: a parameter is wrong; names it, its value and what is allowed.
    """
    try:
        changes: Any = json.loads(overrides or "[]")
    except (ValueError, RecursionError) as error:  # also thousands of digits or nested brackets
        raise InputError(f"overrides is {quote(overrides)}: not JSON: {error}") from None
    options = {"data.pattern": data}
    if isinstance(changes, dict):
        return resolve_settings(parse_experiment(experiment), options | changes)
    if isinstance(changes, list) and all(isinstance(change, str) for change in changes):
        return resolve_settings(parse_experiment(experiment), options, changes)
    raise InputError(
        f"overrides is {quote(overrides)}, expected a JSON list of key=value or an object, "
        'say ["training.max_epochs=3"] or {"training.max_epochs": 3}'
    )


def resolve_parameters(
    data: str, experiment: str, overrides: str, places: Places, graph: Sequence[str]
) -> ResolvedSettings:
    """Resolves the settings of a run from its parameters and data, and checks that the package can run them.

    Args:
        data: see `read_parameters`.
        experiment: see `read_parameters`.
        overrides: see `read_parameters`.
        places: directories of the package.
        graph: edges that the package was compiled with.

    Raises:
        InputError: a parameter is wrong, the data cannot be used, or the settings need another graph.
    """
    settings = read_parameters(data, experiment, overrides)
    resolved = resolve_data(
        settings.data.pattern,
        settings.data.validation_data,
        settings.data.test_data,
        spans=settings.data.spans,
        split=settings.data.split,
        seed=settings.seed,
        level=settings.record_level,
    )
    pinned = {
        "pattern": resolved.data.pattern,
        "validation_data": resolved.own_pattern("validation"),
        "test_data": resolved.own_pattern("test"),
        "spans": 1,
    }
    settings = settings.model_copy(update={"data": settings.data.model_copy(update=pinned)})
    prepared = prepare(settings, places.push_directory, resolved.data)
    settings, vocabulary = prepared.settings, prepared.vocabulary
    _require_same_graph(edges(build_pipeline(settings, vocabulary, places)), graph, settings.experiment)
    return ResolvedSettings(
        settings=settings,
        span=resolved.data.span,
        shards=resolved.fingerprint,
        vocabulary=_fingerprint(vocabulary),
        synthetic=prepared.synthetic,
        sources=_sources(MODULES),
        teachers=tuple(model_ids(settings.training.teachers)),
    )


def _require_same_graph(needed: Sequence[str], compiled: Sequence[str], experiment: str) -> None:
    missing, unneeded = sorted(set(needed) - set(compiled)), sorted(set(compiled) - set(needed))
    if missing or unneeded:
        raise InputError(
            f"{experiment} with these overrides needs another graph than this package has (missing: "
            f"{', '.join(missing) or 'nothing'}; not needed: {', '.join(unneeded) or 'nothing'}): what a model reads, "
            "teachers, a search and imported hyperparameters are part of the graph; compile a package with this "
            "experiment and these overrides"
        )


def _sources(nodes: Iterable[Step]) -> str:
    return source_fingerprint(*(module for node in nodes for module in MODULES[node]))


def _fingerprint(vocabulary: Vocabulary) -> str:
    return hashlib.sha256(json.dumps([vocabulary.names, vocabulary.verticals]).encode()).hexdigest()
