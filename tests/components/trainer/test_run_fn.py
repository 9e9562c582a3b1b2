"""run_fn on real artifacts, as TFX's Trainer calls it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tfx import v1 as tfx

from components.served_models import read_model_card
from components.trainer.trainer import read_training_log, run_fn
from models.errors import InputError
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

    def run(name: str, seed: int = 0, clusters: int = 4, **training: Any) -> TrainingLog:
        settings = TrainingSettings(learning_rate=1e-12, batch_size=8, max_epochs=1, **training)
        model = ModelSettings(encoder={"name": "netvlad", "clusters": clusters})
        config = {
            "experiment": "netvlad",
            "level": "frame",
            "model": model.model_dump(mode="json"),
            "training": settings.model_dump(mode="json"),
            "names": [str(label) for label in range(CLASSES)],
            "seed": seed,
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


def test_a_warm_start_begins_with_the_weights_of_another_model_which_the_card_names(
    trained: Callable[..., TrainingLog], tmp_path: Path
) -> None:
    other, cold = trained("other", seed=1), trained("cold")
    start = f"{tmp_path}/other/Format-Serving"
    warm = trained("warm", warm_start=start)
    assert warm.epochs[0].val_loss == pytest.approx(other.epochs[0].val_loss, abs=1e-6)
    assert abs(warm.epochs[0].val_loss - cold.epochs[0].val_loss) > 1e-4
    assert read_model_card(f"{tmp_path}/warm/Format-Serving")["training"]["warm_start"] == start


def test_weights_of_another_architecture_are_refused(trained: Callable[..., TrainingLog], tmp_path: Path) -> None:
    trained("other", clusters=8)
    with pytest.raises(InputError, match=r"clusters is 4, allowed with the weights of .*: 8"):
        trained("warm", warm_start=f"{tmp_path}/other/Format-Serving")
