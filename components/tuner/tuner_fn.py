"""tuner_fn: what TFX's Tuner calls."""

from functools import partial
from pathlib import Path
from typing import Any

from tfx import v1 as tfx
from tfx.v1.components import TunerFnResult

from components.trainer.data import fingerprint, training_data
from models.settings import ModelSettings, TrainingSettings
from models.video_classifier import build_video_classifier
from tuner.search import Search, Task
from tuner.settings import TuneSettings


def tuner_fn(fn_args: tfx.components.FnArgs) -> TunerFnResult:
    """What TFX's Tuner calls.

    Args:
        fn_args: from TFX, the files as for the Trainer. `custom_config` holds `level`, `model`, `training` and `tune`
            (settings as JSON-able dicts), `names` (of the labels), `experiment`, `data`, `seed`, `workers`, `tune_dir`,
            `log_dir` and the fingerprints of the code.

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
