"""tuner_fn, which TFX's Tuner calls."""

from functools import partial

from tfx import v1 as tfx
from tfx.v1.components import TunerFnResult

from components.trainer.data import state_folder, training_data
from components.tuner.task import SearchTask
from models.video_classifier import build_video_classifier
from tuner.search import Search, Task


def tuner_fn(fn_args: tfx.components.FnArgs) -> TunerFnResult:
    """The search of an experiment's hyperparameters.

    Args:
        fn_args: from TFX, the files as for the Trainer; `custom_config` is a SearchTask's.

    Raises:
        InputError: no trial could be scored.
    """
    task = SearchTask.read(fn_args.custom_config)
    trials = Task(
        model=task.model,
        training=task.training,
        build=lambda model: build_video_classifier(model, len(task.names), task.seed),
        data=partial(training_data, fn_args, task),
        seed=task.seed,
    )
    return TunerFnResult(tuner=Search(trials, task.tune, state_folder(fn_args, task)), fit_kwargs={})
