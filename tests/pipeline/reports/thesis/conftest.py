"""Run folders as `yt8m run` writes them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.training.log import EpochLog, TrainingLog
from pipeline.experiments import find_experiment
from pipeline.settings import resolve_settings


def write_run_folder(
    folder: Path,
    experiment: str,
    data: str = "/data/yt8m/video",
    *,
    synthetic: bool = False,
    videos: tuple[int, int, int] = (23_000, 2_900, 2_950),
    f1: tuple[float, float, float] = (0.8125, 0.65, 0.6405),
    seconds: tuple[float, ...] = (60.0, 12.0, 9.0, 15.0),
    parameters: int = 9_771_863,
    seed: int = 0,
    split: str = "file:80/10/10",
    overrides: tuple[str, ...] = (),
) -> Path:
    """Writes a finished run whose last epoch but one is the best."""
    settings = resolve_settings(
        find_experiment(experiment),
        {"data.pattern": data, "data.split": split, "seed": seed, "out": str(folder)},
        overrides,
    )
    folder.mkdir(parents=True)
    content = settings.model_dump(mode="json")
    (folder / "settings.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    best = len(seconds) - 2
    epochs = [
        EpochLog(number, 0.01, f1[0] + 0.01 * (number - best), 0.01, f1[1] - 0.01, 1e-4, videos[0], time)
        for number, time in enumerate(seconds)
    ]
    log = TrainingLog(parameters, epochs, best_epoch=best, validation_videos=videos[1])
    (folder / "training_log.json").write_text(log.to_json())
    splits: dict[str, dict[str, Any]] = {
        name: {"videos": count, "f1": score, "source": "training, epoch 3 of 4"}
        for name, count, score in zip(("train", "validation", "test"), videos, f1, strict=True)
    }
    splits["test"] |= {"precision": 0.8316, "recall": 0.5208, "source": "Evaluator"}
    scores = {
        "experiment": settings.experiment,
        "data": data,
        "level": settings.record_level,
        "synthetic": synthetic,
        "model_version": "1700000000",
        "blessed": True,
        "splits": splits,
    }
    (folder / "scores.json").write_text(json.dumps(scores, indent=1))
    return folder


@pytest.fixture(scope="session")
def write_run() -> Callable[..., Path]:
    """`(folder, experiment, ...)` writes a finished run; returns its folder."""
    return write_run_folder


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run into the folder `runs`; returns its folder."""
    return lambda name, experiment, **options: write_run_folder(tmp_path / "runs" / name, experiment, **options)
