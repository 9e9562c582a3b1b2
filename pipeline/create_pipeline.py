"""The pipeline: which components run, in which order, on what."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import tensorflow_data_validation as tfdv
from ml_metadata.proto import metadata_store_pb2
from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode

from components.champion_resolver import ChampionResolver
from components.dataset_statistics.component import DatasetStatistics
from components.drift_detector.component import DriftDetector
from components.evaluator.component import Evaluator
from components.example_gen.component import ExampleGen
from components.example_gen.splits import SPLITS
from components.example_gen.synthetic import SyntheticData
from components.pusher import Pusher
from components.schema.component import ImportSchemaGen
from components.source_fingerprint import source_fingerprint
from components.teacher_predictions.artifact import SOFT_TARGETS
from components.teacher_predictions.component import TeacherPredictions
from components.trainer.component import Trainer
from components.trainer.task import TrainingTask
from components.transform.component import Transform
from components.tuner.component import TUNER_FN, Tuner
from components.tuner.task import SearchTask
from models.features import ID, LABELS, NUM_FRAMES
from models.video_classifier import reads_frames
from models.vocabulary import Vocabulary
from pipeline.settings import RunSettings
from pipeline.steps import Step

PIPELINE_NAME = "yt8m"

# Our modules that a node runs: with all that they import and read they are part of its cache key. The Pusher is never
# cached.
MODULES = {
    Step.EXAMPLE_GEN: ("components.example_gen.component",),
    Step.DATASET_STATISTICS: ("components.dataset_statistics.component",),
    Step.IMPORT_SCHEMA_GEN: ("components.schema.component",),
    Step.TRANSFORM: ("components.transform.preprocessing", "components.transform.component"),
    Step.DRIFT_DETECTOR: ("components.drift_detector.component",),
    Step.TEACHER_PREDICTIONS: ("components.teacher_predictions.component",),
    Step.TUNER: ("components.tuner.component", "components.tuner.worker"),
    Step.TRAINER: ("components.trainer.trainer", "components.trainer.component"),
    Step.CHAMPION_RESOLVER: ("components.champion_resolver",),
    Step.EVALUATOR: ("components.evaluator.component", "components.evaluator.metrics"),
}

# The splits that Trainer and Tuner read.
TRAIN_ARGS = tfx.proto.TrainArgs(splits=[SPLITS[0]])
EVAL_ARGS = tfx.proto.EvalArgs(splits=[SPLITS[1]])

Source = TypeVar("Source")


def create_pipeline(
    settings: RunSettings,
    vocabulary: Vocabulary,
    synthetic: SyntheticData | None,
    *,
    pipeline_root: str,
    push_directory: str,
    checkpoint_dir: str,
    tune_dir: str,
    log_dir: str,
    metadata: metadata_store_pb2.ConnectionConfig | None = None,
    beam_args: Sequence[str] = (),
) -> tfx.dsl.Pipeline:
    """Builds the pipeline, the same for every runner.

    Args:
        settings: of the run.
        vocabulary: of the labels.
        synthetic: description of synthetic shards, for the pages; None for others.
        pipeline_root: folder of the artifacts.
        push_directory: folder to which blessed models are pushed.
        checkpoint_dir: folder of checkpoints, outside the artifacts, so that another run finds those of a killed one.
        tune_dir: folder of a search's trials, for the same reason.
        log_dir: TensorBoard's; "" for a folder among the artifacts.
        metadata: connection to the metadata store; None where the runner has its own.
        beam_args: for every Beam component.
    """
    level, names = settings.record_level, vocabulary.names

    # Checks, packs and splits the raw shards once; rejected records are listed in the quarantine.
    example_gen = ExampleGen(
        data=settings.data.pattern,
        split=settings.data.split,
        level=level,
        classes=len(names),
        validation_data=settings.data.validation_data,
        test_data=settings.data.test_data,
        spans=settings.data.spans,
        seed=settings.seed,
        kept_features=settings.evaluation.slices,
        quarantine_limit=settings.data.quarantine_limit,
        sources=_sources(Step.EXAMPLE_GEN),
    )
    examples = example_gen.outputs["examples"]

    # The thesis' tables and figures of the data. Later steps read label names and frequencies here, and measure drift.
    dataset_statistics = DatasetStatistics(
        examples=examples,
        quarantine=example_gen.outputs["quarantine"],
        names=names,
        level=level,
        data=settings.data.pattern,
        synthetic=synthetic,
        sources=_sources(Step.DATASET_STATISTICS),
    )
    statistics = dataset_statistics.outputs["statistics"]

    # Curated, not inferred: a record of another form is an anomaly, not a new schema.
    schema_gen = ImportSchemaGen(level)
    schema = schema_gen.outputs["schema"]

    # TFDV's statistics for the ExampleValidator; of frames it would only measure the length of their bytes.
    statistics_gen = tfx.components.StatisticsGen(
        examples=examples,
        schema=schema,  # without it label ids would be numbers, not categories
        stats_options=tfdv.StatsOptions(feature_allowlist=[ID, LABELS, NUM_FRAMES]),
    )

    # Reports anomalies, which don't end the run.
    example_validator = tfx.components.ExampleValidator(statistics=statistics_gen.outputs["statistics"], schema=schema)

    # Runs before the Trainer: a drift can end the run before hours of training.
    drift_detector = DriftDetector(
        statistics=statistics,
        push_directory=push_directory,
        settings=settings.data.drift,
        sources=_sources(Step.DRIFT_DETECTOR),
    )

    # The graph goes into the exported model, so that serving reads records as training does.
    transform = Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn="components.transform.preprocessing.preprocessing_fn",
        custom_config={"level": level, "classes": len(names), "sources": _sources(Step.TRANSFORM)},
        disable_statistics=True,  # nothing reads them
        disable_analyzer_cache=True,  # nothing in the graph is learned from data
    )

    # What teachers predict for the training split, which the student learns beside the labels.
    teacher_nodes: list[BaseNode] = []
    soft_targets: tfx.types.BaseChannel | None = None
    if settings.training.teachers:
        teacher_predictions = TeacherPredictions(
            examples=examples,  # a student that reads means may learn from teachers that read frames
            teachers=settings.training.teachers,
            classes=len(names),
            sources=_sources(Step.TEACHER_PREDICTIONS),
        )
        teacher_predictions.add_upstream_node(drift_detector)
        teacher_nodes, soft_targets = [teacher_predictions], teacher_predictions.outputs[SOFT_TARGETS]

    # Inputs of both Tuner and Trainer.
    inputs: dict[str, Any] = {
        "examples": training_examples(settings, examples, transform.outputs["transformed_examples"]),
        "transform_graph": transform.outputs["transform_graph"],
        "schema": schema,
        "train_args": TRAIN_ARGS,
        "eval_args": EVAL_ARGS,
    }

    # Hyperparameters come from a search, from the result of an earlier one, or from the experiment.
    hyperparameter_nodes: list[BaseNode] = []
    hyperparameters: tfx.types.BaseChannel | None = None
    if settings.search:
        task = search_task(settings, names, synthetic, state_dir=tune_dir, log_dir=log_dir)
        tuner = Tuner(inputs, soft_targets, task.custom_config())
        tuner.add_upstream_node(drift_detector)
        hyperparameter_nodes, hyperparameters = [tuner], tuner.outputs["best_hyperparameters"]
    elif settings.hyperparameters:
        importer = tfx.dsl.Importer(
            settings.hyperparameters,
            tfx.types.standard_artifacts.HyperParameters,
            # TFX reuses the artifact of an earlier import of the same folder unless a property differs.
            custom_properties={"fingerprint": _folder_fingerprint(settings.hyperparameters)},
        ).with_id(Step.IMPORT_HYPERPARAMETERS)
        hyperparameter_nodes, hyperparameters = [importer], importer.outputs["result"]

    # Trains and exports the SavedModel that is evaluated and served.
    trainer = Trainer(
        inputs,
        soft_targets,
        hyperparameters,
        training_task(settings, names, state_dir=checkpoint_dir, log_dir=log_dir).custom_config(),
    )
    trainer.add_upstream_node(drift_detector)
    model = trainer.outputs["model"]

    # Finds the model that serves, which the new one has to beat. TFX's Resolver does not run on open-source Kubeflow
    # Pipelines.
    champion_resolver = ChampionResolver(
        model=model, push_directory=push_directory, sources=_sources(Step.CHAMPION_RESOLVER)
    )

    # Scores on the test split decide whether the model is blessed.
    evaluator = Evaluator(
        examples=examples,
        model=model,
        champion=champion_resolver.outputs["champion"],
        statistics=statistics,
        requirements=settings.evaluation.requirements(),
        floor=settings.evaluation.floor,
        slices=settings.evaluation.slices,
        verticals=vocabulary.verticals,
        rated=settings.rated,
        sources=_sources(Step.EVALUATOR),
    )

    # Publishes a blessed model with the statistics of its data: a later run's DriftDetector compares its own with them.
    pusher = Pusher(
        model=model,
        model_blessing=evaluator.outputs["blessing"],
        statistics=statistics,
        push_directory=push_directory,
    )

    return tfx.dsl.Pipeline(
        pipeline_name=PIPELINE_NAME,
        pipeline_root=pipeline_root,
        metadata_connection_config=metadata,
        components=[
            example_gen,
            dataset_statistics,
            schema_gen,
            statistics_gen,
            example_validator,
            drift_detector,
            transform,
            *teacher_nodes,
            *hyperparameter_nodes,
            trainer,
            champion_resolver,
            evaluator,
            pusher,
        ],
        enable_cache=True,
        beam_pipeline_args=list(beam_args),
    )


def _sources(step: Step) -> str:
    return source_fingerprint(*MODULES[step])


def _folder_fingerprint(folder: str) -> str:
    """Hash of the files of a local folder; "" for a folder on a cluster, which each run imports again."""
    files = sorted(path for path in Path(folder).glob("*") if path.is_file())
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest() if files else ""


def training_examples(settings: RunSettings, examples: Source, transformed: Source) -> Source:
    """The examples that a training reads.

    Args:
        settings: of the run.
        examples: ExampleGen's, with all frames.
        transformed: Transform's, 5 KB a video: enough for the average encoder, of whole videos.
    """
    return examples if settings.rated or reads_frames(settings.model, settings.record_level) else transformed


def training_task(settings: RunSettings, names: Sequence[str], *, state_dir: str, log_dir: str) -> TrainingTask:
    """The Trainer's task.

    Args:
        settings: of the run.
        names: of the labels.
        state_dir: folder of its checkpoints.
        log_dir: TensorBoard's.
    """
    return TrainingTask(
        experiment=settings.experiment,
        data=settings.data.pattern,
        level=settings.level,
        model=settings.model,
        training=settings.training,
        names=tuple(names),
        seed=settings.seed,
        state_dir=state_dir,
        log_dir=log_dir,
        sources=_sources(Step.TRAINER),
    )


def search_task(
    settings: RunSettings, names: Sequence[str], synthetic: SyntheticData | None, *, state_dir: str, log_dir: str
) -> SearchTask:
    """The Tuner's task.

    Args:
        settings: of the run.
        names: of the labels.
        synthetic: description of synthetic shards; None for others.
        state_dir: folder of its trials.
        log_dir: TensorBoard's.
    """
    shared = dict(training_task(settings, names, state_dir=state_dir, log_dir=log_dir))
    return SearchTask(
        **shared
        | {
            "tune": settings.tuner,
            "synthetic": synthetic,
            # It names the folder of the trials: an edit of their page must not begin the search anew.
            "sources": source_fingerprint(TUNER_FN.rpartition(".")[0]),
            "executor_sources": _sources(Step.TUNER),
        }
    )
