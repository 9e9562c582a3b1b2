"""Split policies: shares, determinism and errors."""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.example_gen.splits import SPLITS, SplitPolicy, default_split
from models.errors import InputError

FILES = [f"/data/train{number:04d}.tfrecord" for number in range(100)]
VALIDATE = [f"/data/validate{number:04d}.tfrecord" for number in range(40)]


def counts(dealt):
    return Counter(dealt.values())


def test_files_are_dealt_by_shares():
    dealt = SplitPolicy.parse("file:80/10/10").of_files(FILES, seed=0)
    assert counts(dealt) == {"train": 80, "validation": 10, "test": 10}
    assert set(dealt) == set(FILES)


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_files():
    policy = SplitPolicy.parse("file:80/10/10")
    assert policy.of_files(FILES, 0) == policy.of_files(FILES[::-1], 0)
    assert policy.of_files(FILES, 0) != policy.of_files(FILES, 1)


@given(st.integers(3, 60), st.tuples(*[st.integers(1, 99)] * 3), st.integers(0, 9))
def test_every_file_is_dealt_once_and_every_split_gets_one(number, shares, seed):
    dealt = SplitPolicy("file", shares).of_files(FILES[:number], seed)
    assert len(dealt) == number and set(dealt.values()) == set(SPLITS)


@given(st.binary(min_size=1, max_size=8))
def test_every_id_has_a_split(video_id):
    assert SplitPolicy.parse("id:80/10/10").of_id(video_id) in SPLITS


def test_the_split_of_an_id_never_changes():
    policy = SplitPolicy.parse("id:80/10/10")
    # The first 16 digits that sha256sum prints of each, modulo 100.
    places = {b"0000": 53, b"0001": 87, b"0002": 57, b"0003": 93, b"0006": 82, b"0007": 91}
    for video_id, place in places.items():
        assert policy.of_id(video_id) == ("train" if place < 80 else "validation" if place < 90 else "test")


def test_ids_are_dealt_by_shares():
    policy = SplitPolicy.parse("id:80/10/10")
    videos = Counter(policy.of_id(str(number).encode()) for number in range(20_000))
    # Three standard deviations of a binomial with 20,000 draws.
    assert abs(videos["train"] - 16_000) < 170 and abs(videos["test"] - 2_000) < 130


def test_the_video_level_split_of_the_thesis():
    dealt = SplitPolicy.parse("thesis-video").of_files(FILES + VALIDATE, 0)
    assert counts(dealt) == {"train": 80, "validation": 20, "test": 40}
    assert all(dealt[file] == "test" for file in VALIDATE)


def test_the_frame_level_split_of_the_thesis_takes_a_tenth_of_the_train_files():
    dealt = SplitPolicy.parse("thesis-frame").of_files(FILES + VALIDATE, 0)
    assert counts(dealt) == {"train": 40, "validation": 5, "test": 5}
    assert sum("train0" in file for file in dealt) == 10


@pytest.mark.parametrize(
    ("text", "own", "allowed"),
    [
        *((text, (), ": file:80/10/10, id:80/10/10") for text in ("file", "file:80/20", "id:0/50/50", "hash:8/1/1")),
        ("file:8/1/1", ("test",), " with test data: file:90/10 or id:90/10 (any shares of train and validation)"),
        ("id:8/1/1", ("validation",), " with validation data: file:90/10 or id:90/10 (any shares of train and test)"),
        (
            "file:9/1",
            ("validation", "test"),
            " with validation and test data: file:100 or id:100 (any shares of train)",
        ),
    ],
)
def test_an_unknown_policy_is_refused_with_what_is_allowed(text, own, allowed):
    with pytest.raises(InputError, match=re.escape(f"split is '{text}', allowed{allowed}")):
        SplitPolicy.parse(text, own)


@given(st.sets(st.sampled_from(SPLITS[1:])), st.sampled_from(["file", "id"]), st.binary(min_size=1, max_size=8))
def test_nothing_goes_to_a_split_with_data_of_its_own(own, kind, video_id):
    policy = SplitPolicy.parse(default_split(own).replace("file", kind), own)
    expected = set(SPLITS) - own
    if kind == "file":
        assert set(policy.of_files(FILES[:5], 0).values()) == expected
    else:
        assert policy.of_id(video_id) in expected


def test_files_that_do_not_fit_the_policy_are_refused():
    with pytest.raises(InputError, match="needs at least 3 files, found 2: use id:80/10/10"):
        SplitPolicy.parse("file:80/10/10").of_files(FILES[:2], 0)
    with pytest.raises(InputError, match=r"needs files named train\* and validate\*, found 100 and 0"):
        SplitPolicy.parse("thesis-video").of_files(FILES, 0)
    for own in (("test",), ("validation",), ("validation", "test")):
        data = " and ".join(own)
        with pytest.raises(
            InputError, match=f"thesis-video chooses the files of all splits: leave out the {data} data"
        ):
            SplitPolicy.parse("thesis-video", own)
