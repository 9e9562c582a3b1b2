"""The trials of a search for TensorBoard's HParams tab."""

import json
from pathlib import Path

import tensorflow as tf
from tensorboard.plugins.hparams import api  # type: ignore[import-untyped]

from tuner.trials import SearchResult

# Suffix of our event files, which a later call replaces.
SUFFIX = ".hparams"


def write_hparams(result: SearchResult, log_dir: Path) -> None:
    """Writes a session for each trial, in a folder named after it: its values, and its scores if it has any.

    Args:
        result: the trials of a search.
        log_dir: where TensorBoard looks. Files of an earlier call for the same trials are replaced.
    """
    for trial in result.trials:
        folder = log_dir / trial.id
        for old in folder.glob(f"*{SUFFIX}"):
            old.unlink()
        # The tab shows numbers, texts and booleans.
        values = {key: json.dumps(value) if isinstance(value, list) else value for key, value in trial.values.items()}
        with tf.summary.create_file_writer(str(folder), filename_suffix=SUFFIX).as_default(step=trial.epochs):
            api.hparams(values, trial_id=trial.id)
            for name, score in trial.scores.items():
                tf.summary.scalar(name, score)
