"""Decoding and the order of batches."""

import numpy as np
import pytest
import tensorflow as tf

from models.input.batches import batches, multi_hot, packed_frames


def test_packed_frames_are_decoded_and_padded_with_zero_bytes():
    generator = np.random.default_rng(0)
    videos = [
        (generator.integers(0, 256, (n, 1024), np.uint8), generator.integers(0, 256, (n, 128), np.uint8))
        for n in (1, 300, 7)
    ]
    frames = packed_frames([rgb.tobytes() for rgb, _ in videos], [audio.tobytes() for _, audio in videos]).numpy()
    assert frames.shape == (3, 300, 1152) and frames.dtype == np.uint8
    for row, (rgb, audio) in enumerate(videos):
        assert np.array_equal(frames[row, : len(rgb)], np.concatenate([rgb, audio], 1))
        assert not frames[row, len(rgb) :].any()


def test_longer_videos_are_truncated():
    frames = packed_frames([bytes(range(4)) * 256 * 5], [bytes(128 * 5)], 2)
    assert frames.shape == (1, 2, 1152)


def test_an_id_listed_twice_is_one_label():
    ids = tf.SparseTensor([[0, 0], [0, 1], [2, 0], [2, 1]], tf.constant([1, 3, 0, 0], tf.int64), [3, 2])
    assert np.array_equal(multi_hot(ids, 4), [[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]])


@pytest.fixture
def shards(tmp_path):
    files = []
    for shard in range(6):
        files.append(str(tmp_path / f"{shard}.tfrecord"))
        with tf.io.TFRecordWriter(files[-1]) as writer:
            for number in range(20):
                writer.write(b"%d" % (100 * shard + number))
    return files


def order(files, **settings):
    data = batches(files, lambda records: ({"id": records}, records), 16, **settings)
    return [int(value) for batch, _ in data for value in batch["id"].numpy()]


def test_every_video_comes_once_in_the_order_of_the_seed(shards):
    first = order(shards, shuffle_videos=50, seed="0-0")
    assert sorted(first) == sorted(100 * shard + number for shard in range(6) for number in range(20))
    assert first == order(shards[::-1], shuffle_videos=50, seed="0-0")
    assert first != order(shards, shuffle_videos=50, seed="0-1")
    assert order(shards) == order(shards) != first


def test_a_resumed_epoch_continues_where_it_stopped(shards):
    data = batches(shards, lambda records: ({"id": records}, records), 16, shuffle_videos=50, seed="0-0")
    rest = [int(value) for batch, _ in data.skip(3) for value in batch["id"].numpy()]
    assert rest == order(shards, shuffle_videos=50, seed="0-0")[48:]


def drawn(files, skip=0, **settings):
    """A number that is drawn for each batch from its seed."""
    parse = lambda records: ({"id": records}, records)  # noqa: E731
    sample = lambda inputs, seed: {"draw": tf.random.stateless_uniform([], seed)}  # noqa: E731
    return [float(batch["draw"]) for batch, _ in batches(files, parse, 16, sample=sample, **settings).skip(skip)]


def test_the_draws_of_a_batch_depend_on_the_seed_and_its_number(shards):
    first = drawn(shards, seed="0-0")
    assert len(set(first)) == len(first) == 8
    assert drawn(shards, seed="0-0") == drawn(shards[::-1], seed="0-0") == first
    assert not set(first) & set(drawn(shards, seed="0-1"))


def test_a_resumed_epoch_has_the_same_draws(shards):
    settings = {"shuffle_videos": 50, "seed": "0-0"}
    assert drawn(shards, skip=3, **settings) == drawn(shards, **settings)[3:]
