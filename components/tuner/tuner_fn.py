"""tuner_fn, which TFX's Tuner calls."""

from functools import partial

from tfx import v1 as tfx
from tfx.v1.components import TunerFnResult

from components.trainer.data import state_folder, training_data
from components.trainer.trainer import untrained_model
from components.tuner.task import SearchTask
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
        build=partial(untrained_model, fn_args, task),
        data=partial(training_data, fn_args, task),
        seed=task.seed,
        rated=task.rated,
    )
    return TunerFnResult(tuner=Search(trials, task.tune, state_folder(fn_args, task)), fit_kwargs={})
