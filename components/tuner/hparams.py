"""The trials of a search for TensorBoard's HParams tab."""

import json
from pathlib import Path

import tensorflow as tf
from tensorboard.plugins.hparams import api  # type: ignore[import-untyped]

from tuner.trials import SearchResult

# Of event files that are ours to replace.
SUFFIX = ".hparams"


def write_hparams(found: SearchResult, log_dir: Path) -> None:
    """Writes a session a trial, in a folder named after it: values, and scores if it has any.

    Args:
        found: the trials of a search.
        log_dir: where TensorBoard looks. What an earlier call wrote of the same trials is replaced.
    """
    for trial in found.trials:
        folder = log_dir / trial.id
        for written in folder.glob(f"*{SUFFIX}"):
            written.unlink()
        # The tab knows numbers, texts and truth values.
        values = {key: json.dumps(value) if isinstance(value, list) else value for key, value in trial.values.items()}
        with tf.summary.create_file_writer(str(folder), filename_suffix=SUFFIX).as_default(step=trial.epochs):
            api.hparams(values, trial_id=trial.id)
            for name, score in trial.scores.items():
                tf.summary.scalar(name, score)
