"""run_fn on real artifacts, as TFX's Trainer calls it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tfx import v1 as tfx

from components.trainer.trainer import read_training_log, run_fn
from models.settings import ModelSettings, TrainingSettings
from models.training.log import TrainingLog

CLASSES = 5


@pytest.fixture
def trained(
    transform: Callable[..., Any], tmp_path: Path, write_shard: Callable[..., Path], frame_record: Callable[..., bytes]
) -> Callable[..., TrainingLog]:
    """Trains for an epoch, so slowly that the weights stay as they were, and returns the log from the model."""
    records = [frame_record(f"{n:04d}", sorted({n % 5, n % 3}), frames=1 + 7 * n) for n in range(40)]
    write_shard(tmp_path / "data" / "a.tfrecord", records)
    examples, graph, _, _ = transform(tmp_path / "data", "frame", CLASSES)

    def run(name: str, **training: Any) -> TrainingLog:
        settings = TrainingSettings(learning_rate=1e-12, batch_size=8, max_epochs=1, **training)
        model = ModelSettings(encoder={"name": "netvlad", "clusters": 4})
        config = {
            "experiment": name,
            "level": "frame",
            "model": model.model_dump(mode="json"),
            "training": settings.model_dump(mode="json"),
            "names": [str(label) for label in range(CLASSES)],
            "seed": 0,
            "data": "",
            "checkpoint_dir": str(tmp_path / "checkpoints"),
            "log_dir": str(tmp_path / "logs"),
            "sources": "",
        }
        fn_args = tfx.components.FnArgs(
            train_files=[f"{examples.uri}/Split-train/*"],
            eval_files=[f"{examples.uri}/Split-validation/*"],
            transform_graph_path=graph.uri,
            serving_model_dir=str(tmp_path / name / "Format-Serving"),
            custom_config=config,
        )
        run_fn(fn_args)
        return read_training_log(str(tmp_path / name))

    return run


def test_training_sees_sampled_frames_and_validation_all_of_them(trained: Callable[..., TrainingLog]) -> None:
    everything = trained("all").epochs[0]
    sampled = trained("random", frame_sampling="random", sampled_frames=2).epochs[0]
    assert sampled.videos == everything.videos
    assert sampled.val_loss == pytest.approx(everything.val_loss, abs=1e-6)
    assert abs(sampled.loss - everything.loss) > 1e-4
