"""Tuner: TFX's, with a search that can be killed, and its trials for people."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from tfx import v1 as tfx
from tfx.components.tuner import executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils
from tfx.v1.components import TunerFnResult

from components.example_gen.synthetic import read_synthetic
from components.trainer.data import fingerprint, training_data
from components.tuner.hparams import write_hparams
from components.tuner.page import trials_page
from components.tuner.workers import search_with_workers
from models.settings import ModelSettings, TrainingSettings
from models.video_classifier import build_video_classifier
from tuner.search import Search, Task, is_worker
from tuner.settings import TuneSettings
from tuner.trials import SearchResult, read_search

# In the artifact of the results.
TRIALS, PAGE = "trials.json", "trials.html"


class TunerExecutor(executor.Executor):
    """What TFX's executor does, and the trials beside its results."""

    def Do(
        self,
        input_dict: dict[str, list[tfx.dsl.Artifact]],
        output_dict: dict[str, list[tfx.dsl.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Searches; `best_hyperparameters` are what the Trainer trains with. Another's worker writes no results."""
        config = json.loads(exec_properties["custom_config"])
        if config["workers"] > 1:
            search = search_with_workers(input_dict, exec_properties, tuner_fn, config["workers"])
        else:
            search = executor.search(input_dict, exec_properties, working_dir=None, print_tuning_summary=False)
        if is_worker():
            return
        executor.write_best_hyperparameters(search, output_dict)
        found = read_search(Path(search.project_dir), search.settings)
        results = Path(artifact_utils.get_single_uri(output_dict["tuner_results"]))
        (results / TRIALS).write_text(found.model_dump_json(indent=1))
        page = trials_page(found, config["experiment"], read_synthetic(config["data"]), navigation={})
        (results / PAGE).write_text(page, encoding="utf-8")
        write_hparams(found, Path(config["log_dir"] or results, "trials"))


class Tuner(tfx.components.Tuner):
    """TFX's Tuner with the executor above."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(TunerExecutor)


def tuner_fn(fn_args: tfx.components.FnArgs) -> TunerFnResult:
    """What TFX's Tuner calls.

    Args:
        fn_args: from TFX, the files as for the Trainer. `custom_config` holds `level`, `model`, `training` and `tune`
            (settings as JSON-able dicts), `names` (of the labels), `experiment`, `data`, `seed`, `workers`, `tune_dir`,
            `log_dir` and `sources`.

    Raises:
        InputError: no trial could be scored.
    """
    config: dict[str, Any] = fn_args.custom_config
    classes, seed = len(config["names"]), config["seed"]
    task = Task(
        model=ModelSettings.model_validate(config["model"]),
        training=TrainingSettings.model_validate(config["training"]),
        build=lambda model: build_video_classifier(model, classes, seed),
        data=partial(training_data, fn_args),
        seed=seed,
    )
    settings = TuneSettings.model_validate(config["tune"])
    folder = Path(config["tune_dir"]) / fingerprint(fn_args)
    return TunerFnResult(tuner=Search(task, settings, folder), fit_kwargs={})


def read_trials(results_uri: str) -> SearchResult:
    """What TunerExecutor wrote."""
    return SearchResult.model_validate_json(Path(results_uri, TRIALS).read_text())
