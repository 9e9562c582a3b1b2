"""Soft targets: what a training reads of them, what the order does not depend on, and which files are refused."""

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InputError
from models.input.index import VideoIndex, read_index
from models.input.indexed_batches import IndexedBatches
from models.input.soft_targets import (
    HIGHEST,
    TOP,
    SoftTargets,
    SoftTargetsWriter,
    read_soft_targets,
    read_trailer,
    soft_targets_path,
)
from models.settings import ModelSettings
from models.training.micro_f1 import MicroF1
from models.video_classifier import build_video_classifier

CLASSES = 10


def write(path: Path, probabilities: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        writer = SoftTargetsWriter(file, probabilities.shape[1])
        for batch in np.array_split(probabilities, 3):
            writer.write(batch)
        writer.finish()


def write_all(folder: Path, files: list[str], index: VideoIndex, probabilities: np.ndarray) -> None:
    for number, file in enumerate(sorted(files)):
        write(Path(soft_targets_path(str(folder), file)), probabilities[index.file == number])


@pytest.fixture(scope="module")
def index(shards: Any) -> VideoIndex:
    return read_index(shards.files)


@pytest.fixture(scope="module")
def probabilities(shards: Any) -> np.ndarray:
    return np.random.default_rng(0).random((len(shards.videos), CLASSES), np.float32)


@pytest.fixture(scope="module")
def folder(shards: Any, index: VideoIndex, probabilities: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("soft-targets")
    write_all(folder, shards.files, index, probabilities)
    return folder


@pytest.fixture(scope="module")
def read(folder: Path, shards: Any, index: VideoIndex) -> Callable[[float], SoftTargets]:
    return lambda weight: read_soft_targets(str(folder), shards.files[::-1], index, CLASSES, weight)


def multi_hot(shards: Any) -> np.ndarray:
    labels = np.zeros((len(shards.videos), CLASSES), np.float32)
    for row, ids in zip(labels, shards.labels, strict=True):
        row[ids] = 1
    return labels


def targets(batches: Any) -> Iterator[np.ndarray]:
    return (labels.numpy() for _, labels in batches)


@settings(max_examples=20)
@given(weight=st.floats(1e-6, 0.5), size=st.integers(1, 60))
def test_targets_are_the_mean_of_labels_and_probabilities(
    read: Any, shards: Any, index: VideoIndex, probabilities: np.ndarray, weight: float, size: int
) -> None:
    expected = (1 - weight) * multi_hot(shards) + weight * probabilities
    mixed = list(targets(IndexedBatches(index, CLASSES, size, soft_targets=read(weight))))
    assert [len(batch) for batch in mixed[:-1]] == [size] * (len(mixed) - 1)
    np.testing.assert_allclose(np.concatenate(mixed), expected, rtol=0, atol=2**-11)  # float16 of the probabilities


def test_each_video_keeps_its_targets_in_every_order(
    read: Any, shards: Any, index: VideoIndex, probabilities: np.ndarray
) -> None:
    order = {frames[0].tobytes(): number for number, frames in enumerate(shards.videos)}
    expected = np.concatenate(list(targets(IndexedBatches(index, CLASSES, 7, soft_targets=read(0.3)))))
    for seed in ("0-0", "0-1"):
        for inputs, labels in IndexedBatches(index, CLASSES, 8, soft_targets=read(0.3)).shuffled(seed):
            numbers = [order[video[0].tobytes()] for video in inputs["frames"].numpy()]
            assert np.array_equal(labels.numpy(), expected[numbers])


@settings(max_examples=20)
@given(workers=st.integers(1, 5), size=st.integers(1, 60), step=st.integers(0, 5), readers=st.integers(1, 4))
def test_a_resumed_epoch_and_workers_read_the_same_bits(
    read: Any, index: VideoIndex, workers: int, size: int, step: int, readers: int
) -> None:
    def batches(**how: Any) -> Any:
        return IndexedBatches(index, CLASSES, size, soft_targets=read(0.5), **how).shuffled("0-0")

    whole = list(targets(batches()))
    shares = [targets(batches(share=(number, workers), readers=readers).skip(step)) for number in range(workers)]
    for parts, batch in zip(zip(*shares, strict=True), whole[step:], strict=True):
        assert np.array_equal(np.concatenate(parts), batch)


def test_batches_with_and_without_soft_targets_share_memory_and_nothing_else(
    read: Any, shards: Any, index: VideoIndex
) -> None:
    soft, hard = IndexedBatches(index, CLASSES, 8, soft_targets=read(0.5)), IndexedBatches(index, CLASSES, 8)
    assert soft.element_spec == hard.element_spec
    first = list(targets(soft))
    for _ in range(3):
        assert np.array_equal(np.concatenate(list(targets(hard))), multi_hot(shards))
        assert all(np.array_equal(*pair) for pair in zip(targets(soft), first, strict=True))


@pytest.mark.parametrize("weight", [0.5, np.nextafter(0.5, 0), 0.3, 1e-6])
def test_the_metric_recognizes_labels_whatever_the_teachers_say(
    shards: Any, index: VideoIndex, tmp_path: Path, weight: float
) -> None:
    certain = np.random.default_rng(1).integers(0, 2, (len(index), CLASSES)).astype(np.float32)
    write_all(tmp_path, shards.files, index, certain)
    soft = read_soft_targets(str(tmp_path), shards.files, index, CLASSES, weight)
    mixed = np.concatenate(list(targets(IndexedBatches(index, CLASSES, 8, soft_targets=soft))))
    assert np.array_equal(mixed >= 0.5, multi_hot(shards) == 1)
    of_targets, of_labels = MicroF1(), MicroF1()
    of_targets.update_state(mixed, certain)
    of_labels.update_state(multi_hot(shards), certain)
    assert float(of_targets.result()) == float(of_labels.result()) > 0


@pytest.mark.parametrize("classes", [300, 2**16 + 1])
def test_the_labels_beyond_the_best_hundred_count_as_zero(
    shards: Any, index: VideoIndex, tmp_path: Path, classes: int
) -> None:
    probabilities = np.random.default_rng(0).random((len(index), classes), np.float32) ** 8
    write_all(tmp_path, shards.files, index, probabilities)
    soft = read_soft_targets(str(tmp_path), shards.files, index, classes, 0.5)
    read = np.empty((1, classes), np.float32)
    left_out = 0.0
    for number in range(len(index)):
        soft.mix((np.zeros(0, int), np.zeros(0, int)), np.array([number]), read)
        best = np.argsort(-probabilities[number], kind="stable")[:TOP]
        expected = np.zeros(classes)
        expected[best] = np.minimum(probabilities[number, best], HIGHEST) / 2
        np.testing.assert_allclose(read[0], expected, atol=2**-12)
        left_out += probabilities[number].sum() - probabilities[number, best].sum()
    stored = [read_trailer(soft_targets_path(str(tmp_path), file)) for file in shards.files]
    assert sum(trailer.left_out for trailer in stored) == pytest.approx(left_out, rel=1e-4)
    assert sum(trailer.total for trailer in stored) == pytest.approx(probabilities.sum(), rel=1e-6)
    assert [trailer.videos for trailer in stored] == [30, 0, 23]


def test_little_is_left_out_once_a_model_is_trained() -> None:
    generator = np.random.default_rng(0)
    frequencies = 1 / np.arange(1, 301)
    directions = generator.normal(size=(300, 24))

    def draw(videos: int) -> tuple[np.ndarray, np.ndarray]:
        labels, means = np.zeros((videos, 300), np.float32), np.zeros((videos, 1152), np.float32)
        for row in labels:
            row[generator.choice(300, generator.integers(1, 6), p=frequencies / frequencies.sum(), replace=False)] = 1
        means[:, :24] = labels @ directions / np.sqrt(labels.sum(axis=1, keepdims=True))
        return means + 0.3 * (means != 0) * generator.normal(size=means.shape), labels

    model = build_video_classifier(ModelSettings.model_validate({"encoder": {"name": "average"}}), 300, seed=0)
    model.compile(keras.optimizers.Adam(0.5), "binary_crossentropy")
    means, labels = draw(2000)
    model.fit({"mean": means}, labels, batch_size=200, epochs=14, verbose=0)
    file = io.BytesIO()
    writer = SoftTargetsWriter(file, 300)
    writer.write(model.predict_on_batch({"mean": draw(500)[0]}))
    assert 500 < writer._total < 3000  # there are three labels a video
    assert writer._left_out < 0.02 * writer._total


def test_a_file_takes_four_bytes_a_label_and_a_short_trailer() -> None:
    file = io.BytesIO()
    writer = SoftTargetsWriter(file, 3862)
    writer.write(np.ones((9, 3862), np.float32))
    writer.finish()
    assert len(file.getvalue()) == 9 * 400 + 44


def damaged(content: bytes) -> bytes:
    return content[:50] + bytes([content[50] ^ 1]) + content[51:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], "is damaged: the step that wrote it must run again"),
        (lambda content: content[-30:], "is damaged"),
        (lambda content: content[40:], r"has 1,204 bytes, expected 1,244"),
        (lambda content: content[:-36] + b"\7" + content[-35:], "has soft targets of version 7, expected 1"),
        (lambda content: content[:-32] + b"\7" + content[-31:], "has 1,244 bytes, expected 884"),
        (damaged, "is damaged"),
    ],
)
def test_a_damaged_file_is_refused_by_its_name(
    folder: Path, shards: Any, index: VideoIndex, tmp_path: Path, change: Any, message: str
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    path = Path(soft_targets_path(str(copy), shards.files[0]))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=rf"{path} {message}"):
        soft = read_soft_targets(str(copy), shards.files, index, CLASSES, 0.5)
        list(IndexedBatches(index, CLASSES, 8, soft_targets=soft))


def test_missing_files_and_those_of_other_records_are_refused(
    folder: Path, shards: Any, index: VideoIndex, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    with pytest.raises(InputError, match="30 videos with 10 labels, the records have 30 with 9: the step"):
        read_soft_targets(str(copy), shards.files, index, CLASSES - 1, 0.5)
    first, _, last = (soft_targets_path(str(copy), file) for file in shards.files)
    shutil.copy(last, first)
    with pytest.raises(InputError, match=f"{first} has 23 videos with 10 labels, the records have 30 with 10"):
        read_soft_targets(str(copy), shards.files, index, CLASSES, 0.5)
    Path(first).unlink()
    with pytest.raises(InputError, match=f"{first} cannot be read"):
        read_soft_targets(str(copy), shards.files, index, CLASSES, 0.5)


def test_files_in_a_store_are_copied_ahead(
    folder: Path, shards: Any, index: VideoIndex, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied, copy = [], tf.io.gfile.copy
    monkeypatch.setattr(tf.io.gfile, "copy", lambda source, target: copied.append(source) or copy(source, target))
    soft = read_soft_targets(f"file://{folder}", shards.files, index, CLASSES, 0.5)
    batches = IndexedBatches(index, CLASSES, 8, soft_targets=soft).shuffled("0-0")
    expected = IndexedBatches(index, CLASSES, 8, soft_targets=read(0.5)).shuffled("0-0")
    assert all(np.array_equal(*pair) for pair in zip(targets(batches), targets(expected), strict=True))
    assert sorted(copied) == [soft_targets_path(f"file://{folder}", shards.files[number]) for number in (0, 2)]
