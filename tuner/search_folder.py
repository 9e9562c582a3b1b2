"""Files in a search's folder, beside those of KerasTuner, and the logs of its trials."""

from pathlib import Path

from models.training.log import TrainingLog

# Empty file in the search's folder, written at its end.
FINISHED = "finished"

# Log of a trial's training, in the trial's folder; written at the training's end.
TRIAL_LOG = "training_log.json"

# State of a trial's training, in the trial's folder while the trial runs or may be promoted.
CHECKPOINT = "checkpoint"


def read_log(trial_folder: Path) -> TrainingLog | None:
    """The log of a trial's training; None if the trial is running or failed."""
    file = trial_folder / TRIAL_LOG
    return TrainingLog.from_json(file.read_text()) if file.exists() else None


def read_logs(search_folder: Path) -> list[TrainingLog]:
    """The logs of all trials whose training has ended."""
    return [TrainingLog.from_json(file.read_text()) for file in search_folder.glob(f"trial_*/{TRIAL_LOG}")]
