"""Tuner: TFX's, with a search that resumes after a kill, soft targets, and a page of its trials."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx import v1 as tfx
from tfx.components.tuner import executor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import artifact_utils, component_spec, standard_component_specs
from tfx.utils import json_utils

from components.teacher_predictions.artifact import SOFT_TARGETS, SoftTargets, with_soft_targets
from components.tuner.hparams import write_hparams
from components.tuner.page import trials_page
from components.tuner.task import SearchTask
from components.tuner.tuner_fn import tuner_fn
from components.tuner.workers import search_with_workers
from models.whole_files import write_file
from tuner.search import is_worker
from tuner.trials import SearchResult, read_search

# Files of the artifact `tuner_results`.
TRIALS, PAGE = "trials.json", "trials.html"

TUNER_FN = "components.tuner.tuner_fn.tuner_fn"


class TunerSpec(standard_component_specs.TunerSpec):
    """TFX's, with soft targets."""

    INPUTS = {
        **standard_component_specs.TunerSpec.INPUTS,
        SOFT_TARGETS: component_spec.ChannelParameter(type=SoftTargets, optional=True),
    }


class TunerExecutor(executor.Executor):
    """TFX's executor, which also writes the trials."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Searches, and writes the results; a worker of another process' search writes none."""
        exec_properties = with_soft_targets(input_dict, exec_properties)
        task = SearchTask.model_validate_json(exec_properties["custom_config"])
        if task.tune.workers > 1:
            search = search_with_workers(input_dict, exec_properties, tuner_fn, task.tune.workers)
        else:
            search = executor.search(input_dict, exec_properties, working_dir=None, print_tuning_summary=False)
        if is_worker():
            return
        executor.write_best_hyperparameters(search, output_dict)
        trials = read_search(Path(search.project_dir), search.settings)
        results = Path(artifact_utils.get_single_uri(output_dict["tuner_results"]))
        write_file(results / TRIALS, trials.model_dump_json(indent=1))
        page = trials_page(trials, task.experiment, task.synthetic, navigation={})
        write_file(results / PAGE, page)
        write_hparams(trials, Path(task.log_dir or results, "trials"))


class Tuner(base_component.BaseComponent):
    """Searches hyperparameters.

    Args:
        inputs: `examples`, `transform_graph`, `schema`, `train_args` and `eval_args` of TFX's Tuner.
        soft_targets: TeacherPredictions', of the training split of the examples; None: labels alone.
        custom_config: a SearchTask's.
    """

    SPEC_CLASS = TunerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(TunerExecutor)

    def __init__(
        self, inputs: Mapping[str, Any], soft_targets: tfx.types.BaseChannel | None, custom_config: Mapping[str, Any]
    ):
        spec = TunerSpec(
            **inputs,
            soft_targets=soft_targets,
            tuner_fn=TUNER_FN,
            custom_config=json_utils.dumps(custom_config),
            best_hyperparameters=tfx.dsl.Channel(type=tfx.types.standard_artifacts.HyperParameters),
            tuner_results=tfx.dsl.Channel(type=tfx.types.standard_artifacts.TunerResults),
        )
        super().__init__(spec=spec)


def read_trials(results_uri: str) -> SearchResult:
    """Reads the trials that TunerExecutor wrote."""
    return SearchResult.model_validate_json(Path(results_uri, TRIALS).read_text())
