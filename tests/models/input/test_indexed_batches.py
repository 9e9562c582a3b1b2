"""Batches from the index: their content, their order, and what the order does not depend on."""

import gc
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from models.input.index import IndexBuilder, VideoIndex, index_path, read_index
from models.input.indexed_batches import IndexedBatches
from models.input.mapped_files import LocalFiles
from models.training_settings import TrainingSettings

RANDOM = TrainingSettings(frame_sampling="random", sampled_frames=7)


@pytest.fixture(scope="module")
def index(shards: Any) -> VideoIndex:
    return read_index(shards.files)


@pytest.fixture(scope="module")
def number_of(shards: Any) -> dict[bytes, int]:
    """The number of a video, by its first frame."""
    return {frames[0].tobytes(): number for number, frames in enumerate(shards.videos)}


def arrays(batches: Any) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Frames, number of frames and labels of each batch."""
    for inputs, labels in batches:
        yield inputs["frames"].numpy(), inputs["num_frames"].numpy(), labels.numpy()


def order(batches: IndexedBatches, number_of: dict[bytes, int]) -> list[int]:
    return [number_of[video[0].tobytes()] for frames, _, _ in arrays(batches) for video in frames]


def test_batches_hold_every_frame_and_label(index: VideoIndex, shards: Any) -> None:
    number = 0
    for frames, num_frames, labels in arrays(IndexedBatches(index, 10, 8)):
        assert frames.shape[1:] == (300, 1152) and frames.dtype == np.uint8
        for video, length, multi_hot in zip(frames, num_frames, labels, strict=True):
            expected = shards.videos[number]
            assert length == len(expected)
            assert np.array_equal(video[:length], expected) and not video[length:].any()
            assert np.flatnonzero(multi_hot).tolist() == shards.labels[number] and set(multi_hot) <= {0.0, 1.0}
            number += 1
    assert number == len(shards.videos)


def test_a_batch_has_the_announced_shapes_and_types(index: VideoIndex) -> None:
    for sampling, length in ((None, 300), (RANDOM, 7)):
        batches = IndexedBatches(index, 10, 8, sampling=sampling)
        for batch in batches:
            tf.nest.map_structure(lambda spec, tensor: spec.is_compatible_with(tensor) or pytest.fail(str(spec)),
                                  batches.element_spec, batch)  # fmt: skip
            assert batch[0]["frames"].shape[1] == length
        assert len(batches) == 7 and len(list(batches)) == 7


@pytest.mark.parametrize("method", ["random", "window", "stride"])
def test_sampled_frames_are_frames_of_the_video(index: VideoIndex, shards: Any, method: Any) -> None:
    settings = TrainingSettings(frame_sampling=method, sampled_frames=7)
    number = 0
    for frames, drawn, _ in arrays(IndexedBatches(index, 10, 8, sampling=settings)):
        for video, used in zip(frames, drawn, strict=True):
            real = {frame.tobytes(): place for place, frame in enumerate(shards.videos[number])}
            places = [real[frame.tobytes()] for frame in video[:used]]
            assert not video[used:].any()
            if method == "random":
                assert used == 7
            else:
                assert len(set(np.diff(places))) <= 1 and used <= min(7, len(real))
            number += 1


def test_draws_depend_on_the_seed_and_the_number_of_the_batch_alone(
    index: VideoIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float] = []

    def draw(num_frames: np.ndarray, generator: np.random.Generator, settings: TrainingSettings) -> Any:
        drawn.append(generator.random())
        return np.zeros((len(num_frames), 7), int), np.full(len(num_frames), 7)

    monkeypatch.setattr("models.input.indexed_batches.draw_frames", draw)
    results = []
    for seed, numbers in (("0-0", (0, 1, 2)), ("0-0", (2, 1, 0)), ("0-1", (0, 1, 2))):
        batches, drawn = IndexedBatches(index, 10, 8, sampling=RANDOM).shuffled(seed), []
        for number in numbers:
            batches.read(number)
        results.append(drawn)
    assert results[0] == results[1][::-1]
    assert len({*results[0], *results[2]}) == 6


def test_every_epoch_has_each_video_once_in_another_order(index: VideoIndex, number_of: Any) -> None:
    first, second = (order(IndexedBatches(index, 10, 8).shuffled(seed), number_of) for seed in ("0-0", "0-1"))
    assert sorted(first) == sorted(second) == list(range(53))
    assert first != second and list(range(53)) not in (first, second)
    assert order(IndexedBatches(index, 10, 8).shuffled("0-0"), number_of) == first
    assert order(IndexedBatches(index, 10, 8), number_of) == list(range(53))


def test_the_order_spreads_the_videos_of_a_file_over_the_whole_epoch(number_of: Any) -> None:
    generator = np.random.default_rng(0)
    places = []
    for _ in range(200):
        index = VideoIndex(LocalFiles([]), np.zeros(50, np.int32), {}, *[np.zeros(51, int)] * 3, np.zeros((0, 4), int))
        batches = IndexedBatches(index, 1, 1).shuffled(str(generator.integers(2**60)))
        places.append(np.flatnonzero(batches._order == 0)[0])
    # Uniform on 0 ... 49: mean 24.5 with a standard deviation of 14.4 / sqrt(200) = 1.02.
    assert abs(np.mean(places) - 24.5) < 5 * 1.02


@pytest.mark.parametrize("sampling", [None, RANDOM])
def test_an_epoch_resumes_at_any_batch_without_reading_the_ones_before(
    index: VideoIndex, sampling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = IndexedBatches(index, 10, 8, sampling=sampling).shuffled("0-0")
    whole = list(arrays(batches))
    read = []
    original = IndexedBatches.read
    monkeypatch.setattr(IndexedBatches, "read", lambda self, number: read.append(number) or original(self, number))
    for step in (0, 3, 6, 7, 9):
        rest = list(arrays(batches.skip(step)))
        assert len(rest) == max(7 - step, 0) == len(batches.skip(step))
        assert not read or min(read) == step
        for batch, other in zip(rest, whole[step:], strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(batch, other, strict=True))
        read.clear()
    assert len(list(batches.skip(2).take(3))) == 3 and len(list(batches.take(-1))) == 7


@settings(max_examples=25)
@given(workers=st.integers(1, 9), size=st.integers(1, 60), sampled=st.booleans())
def test_workers_together_read_each_batch_of_one_worker(
    index: VideoIndex, workers: int, size: int, sampled: bool
) -> None:
    def batches(**share: Any) -> Any:
        return arrays(IndexedBatches(index, 10, size, sampling=RANDOM if sampled else None, **share).shuffled("0-0"))

    shares = [batches(share=(number, workers)) for number in range(workers)]
    for parts, batch in zip(zip(*shares, strict=True), batches(), strict=True):
        sizes = [len(part[0]) for part in parts]
        assert max(sizes) - min(sizes) <= 1
        for joined, whole in zip(zip(*parts, strict=True), batch, strict=True):
            assert np.array_equal(np.concatenate(joined), whole)


def test_the_number_of_readers_changes_nothing(index: VideoIndex) -> None:
    one, many = (list(arrays(IndexedBatches(index, 10, 4, sampling=RANDOM, readers=n).shuffled("7"))) for n in (1, 9))
    for batch, other in zip(one, many, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(batch, other, strict=True))


def test_a_batch_that_is_kept_is_not_overwritten(index: VideoIndex) -> None:
    batches = IndexedBatches(index, 10, 8)
    kept = list(batches)
    copies = list(arrays(kept))
    for _ in range(3):
        list(batches)
    for batch, copied in zip(arrays(kept), copies, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(batch, copied, strict=True))


def test_tensors_take_over_the_memory_of_a_batch_and_return_it(index: VideoIndex) -> None:
    batches = IndexedBatches(index, 10, 11)
    taken: list[np.ndarray] = []
    take = batches._buffers._take
    batches._buffers._take = lambda *arguments: taken.append(take(*arguments)) or taken[-1]  # type: ignore
    for _ in range(20):
        batch = batches.read(1)
        addresses = {np.from_dlpack(tensor).ctypes.data for tensor in tf.nest.flatten(batch)}
        assert addresses == {whole.ctypes.data for whole, _ in taken}
        taken.clear()
        del batch
        gc.collect()
    free = {name: len(memory) for (name, _), memory in batches._buffers._free.items()}
    assert free == {"labels": 1, "num_frames": 1, "frames": 1}
    assert IndexedBatches(index, 10, 11)._buffers is batches._buffers is not IndexedBatches(index, 10, 12)._buffers


def test_more_files_than_a_process_may_open_are_read(
    write_shards: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (4, 4))
    monkeypatch.setattr("resource.setrlimit", lambda _, limits: None)
    shards = write_shards(tmp_path, (1,) * 9)
    index = read_index(shards.files)
    for _ in range(2):
        for (frames, num_frames, _), expected in zip(arrays(IndexedBatches(index, 10, 1)), shards.videos, strict=True):
            assert np.array_equal(frames[0, : num_frames[0]], expected)
    assert index.files.open.cache_info().currsize == 2


def test_no_videos_make_no_batches() -> None:
    batches = IndexedBatches(read_index([]), 10, 8).shuffled("0-0")
    assert len(batches) == 0 and list(batches) == []


def test_a_shuffle_of_a_million_videos_takes_less_than_100_megabytes(tmp_path: Path) -> None:
    builder = IndexBuilder()
    for number in range(10_000):
        builder.add({"rgb": number, "audio": number}, 300, [1, 2, 3] + [4] * (number % 5 > 2))  # 3.4 labels a video
    content = builder.to_bytes(size=1)
    files = [str(tmp_path / "Split-train" / f"data-{number:03d}") for number in range(100)]
    for file in files:
        for path, written in ((Path(file), b"x"), (Path(index_path(file)), content)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(written)
    tracemalloc.start()
    batches = IndexedBatches(read_index(files), 10, 128).shuffled("0-0")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(batches) == 7813
    assert peak < 100e6
