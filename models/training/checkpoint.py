"""Checkpoints of a training: the newest state and the best weights, as .npz and .json files in one folder."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import keras
import numpy as np
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from models.errors import InputError, reason
from models.training.log import TrainingLog

Arrays = dict[str, np.ndarray]
Variables = Mapping[str, Sequence[keras.Variable]]


@dataclass
class Progress:
    """The progress of a training: with the values of the variables, all that another process needs to resume.

    Attributes:
        log: the finished epochs.
        step: training steps done in the current epoch.
        trained: training scores of the current epoch, once only its validation is left.
        seconds: wall time of the current epoch so far.
        input_seconds: of them, waiting for batches.
        finished: whether the training has ended.
    """

    log: TrainingLog
    step: int = 0
    trained: dict[str, float] | None = None
    seconds: float = 0.0
    input_seconds: float = 0.0
    finished: bool = False


@dataclass
class _Manifest:
    """`checkpoint.json`: names the files that belong together. Replacing it completes a save."""

    saves: int = 0
    state: str | None = None
    best: str | None = None
    progress: Progress | None = None


class Checkpoint:
    """The newest state of one training and its best weights.

    Every file is written under a temporary name, synced and renamed, `checkpoint.json` last: a process killed at any
    moment leaves the previous checkpoint or the new one, never a mixture. Only one process at a time may write.

    Args:
        folder: of one training (its data, settings and seed); created by the first save.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._manifest = _Manifest()

    def load(self) -> Progress | None:
        """The saved progress, None if there is none; raises InputError for a damaged file."""
        path = self.folder / "checkpoint.json"
        if not path.exists():
            return None
        try:
            self._manifest = TypeAdapter(_Manifest).validate_json(path.read_bytes())
        except ValueError as error:
            raise self._unreadable(path, error) from error
        return self._manifest.progress

    def load_state(self) -> Arrays:
        """Values of all variables at the newest save, empty if there is none; raises InputError for a damaged file."""
        return self._read(self._manifest.state)

    def load_best(self) -> Arrays:
        """Values of the model's variables after the best epoch, empty if none; raises InputError for a damaged file."""
        return self._read(self._manifest.best)

    def save(self, progress: Progress, state: Arrays | None, best: Arrays | None = None) -> None:
        """Replaces the saved progress and state, and optionally the best weights; deletes the replaced files.

        Args:
            progress: written to `checkpoint.json`.
            state: values of all variables; None once only the best weights are needed.
            best: values of the model's variables if they are the best so far; None keeps the saved ones.
        """
        saves = self._manifest.saves + 1
        manifest = _Manifest(saves=saves, best=self._manifest.best, progress=progress)
        self.folder.mkdir(parents=True, exist_ok=True)
        if state is not None:
            manifest.state = self._write_arrays(f"state-{saves}.npz", state)
        if best is not None:
            manifest.best = self._write_arrays(f"best-{saves}.npz", best)
        text = TypeAdapter(_Manifest).dump_json(manifest, indent=1)
        self._write("checkpoint.json", lambda file: file.write(text))
        self._manifest = manifest
        for path in (*self.folder.glob("*.npz"), *self.folder.glob("*.partial")):
            if path.name not in (manifest.state, manifest.best):
                path.unlink(missing_ok=True)

    def assign(self, variables: Variables, arrays: Arrays) -> None:
        """Sets every variable to its saved value; raises InputError if another model was saved."""
        wanted = {name: tuple(variable.shape) for name, variable in _named(variables).items()}
        saved = {name: array.shape for name, array in arrays.items()}
        for name in wanted | saved:
            if wanted.get(name) != saved.get(name):
                raise InputError(
                    f"checkpoint {self.folder} is of another model ({name} has shape {saved.get(name)}, expected "
                    f"{wanted.get(name)}): delete the folder to start again"
                )
        for name, variable in _named(variables).items():
            variable.assign(arrays[name])

    def _write_arrays(self, name: str, arrays: Arrays) -> str:
        self._write(name, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
        return name

    def _write(self, name: str, write: Callable[[BinaryIO], object]) -> None:
        partial = self.folder / f"{name}.partial"
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.folder / name)
        folder = os.open(self.folder, os.O_RDONLY)  # a rename is durable once its folder is synced too
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _read(self, name: str | None) -> Arrays:
        if name is None:
            return {}
        path = self.folder / name
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except Exception as error:  # a damaged zip file can raise nearly anything
            raise self._unreadable(path, error) from error

    def _unreadable(self, path: Path, error: Exception) -> InputError:
        return InputError(
            f"checkpoint file {path} cannot be read ({reason(error)}): delete folder {self.folder} to start again"
        )


def values(variables: Variables) -> Arrays:
    """Copies of the variables' values, named by group and index: Keras' own names differ between processes."""
    return {name: np.array(variable.numpy()) for name, variable in _named(variables).items()}


def _named(variables: Variables) -> dict[str, keras.Variable]:
    return {
        f"{group}.{place}": variable for group, members in variables.items() for place, variable in enumerate(members)
    }
