"""Names, shares and addresses are those of the official downloader."""

import hashlib
import itertools
import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InputError
from pipeline.data.download.client import DownloadError
from pipeline.data.download.published import Addresses, Partition, PublishedFile, Share

IDS = [
    "".join(pair)
    for pair in itertools.product(string.ascii_lowercase + string.ascii_uppercase + "0123456789", repeat=2)
]
US = Addresses.of_mirror("us")
TRAIN = Partition("2", "frame", "train")
MD5 = "0123456789abcdef" * 2


def published(name):
    return PublishedFile(name, "", MD5)


def plan(files):
    return json.dumps({"files": files}).encode()


@pytest.mark.parametrize("part", ["train", "validate", "test"])
def test_the_ids_become_the_numbers_0_to_3843_in_their_order(part):
    assert [published(f"{part}{i}.tfrecord").name for i in IDS] == [f"{part}{n:04d}.tfrecord" for n in range(62**2)]


@given(st.sampled_from(IDS), st.integers(1, 5000), st.data())
@settings(max_examples=200)
def test_a_share_is_chosen_by_the_md5_of_the_published_name(shard_id, of, data):
    number = data.draw(st.integers(1, of))
    name = f"validate{shard_id}.tfrecord"
    expected = int(hashlib.md5(name.encode()).hexdigest(), 16) % of == number - 1
    assert Share(number, of).holds(published(name)) == expected


def test_the_shares_of_a_part_are_the_part():
    shares = [{i for i in IDS if Share(x, 7).holds(published(f"test{i}.tfrecord"))} for x in range(1, 8)]
    assert sum(map(len, shares)) == len(set.union(*shares)) == 62**2


def test_a_hundredth_of_the_train_part_is_what_the_official_downloader_wrote():
    # Shards in public repositories, downloaded with `shard=1,100 partition=2/frame/train`.
    seen = "0093 0111 0208 0274 0276 0352 0434 0477 0503 0580 0637 0667 0830 0979 1087 1110 1646 1745 1805 1864 2072"
    names = [file.name for i in IDS if Share(1, 100).holds(file := published(f"train{i}.tfrecord"))]
    assert names[:21] == [f"train{number}.tfrecord" for number in seen.split()]
    assert len(names) == 41 and names[-1] == "train3749.tfrecord"


@pytest.mark.parametrize(
    "text", ["3/2", "0/5", "1", "1/0", "-1/2", "1/2/3", "a/b", " 1/2", "1/2\n", "", "²/3", "1/1e3"]
)
def test_an_invalid_share_is_refused_in_one_line(text):
    with pytest.raises(InputError) as error:
        Share.parse(text)
    assert str(error.value) == f"--shard is {text!r}, expected X/Y with 1 <= X <= Y, say 1/100"


def test_the_official_spelling_of_a_share_is_understood():
    assert Share.parse("7,100") == Share.parse("7/100") == Share(7, 100)


def test_addresses_are_the_official_ones():
    (file,) = TRAIN.files(plan({"trainbF.tfrecord": MD5}), Addresses.of_mirror("asia"))
    assert TRAIN.plan_url(US) == "http://data.yt8m.org/2/download_plans/frame_train.json"
    assert file.url == "http://asia.data.yt8m.org/2/frame/train/trainbF.tfrecord"
    assert (file.name, file.md5) == ("train0093.tfrecord", MD5)
    assert US.vocabulary == "http://research.google.com/youtube8m/csv/2/vocabulary.csv"
    rated = Partition("3", "frame", "validate")
    assert rated.plan_url(US) == "http://data.yt8m.org/3/download_plans/frame_validate.json"


def test_a_private_mirror_has_the_same_paths():
    private = Addresses.of_base_url("https://mirror.example:8443/yt8m/")
    assert TRAIN.plan_url(private) == "https://mirror.example:8443/yt8m/2/download_plans/frame_train.json"
    (file,) = TRAIN.files(plan({"trainaa.tfrecord": MD5}), private)
    assert file.url == "https://mirror.example:8443/yt8m/2/frame/train/trainaa.tfrecord"
    assert private.vocabulary == "https://mirror.example:8443/yt8m/youtube8m/csv/2/vocabulary.csv"


@pytest.mark.parametrize(
    "url", ["file:///etc", "mirror.example", "http://", "http://[bad", "http://a:b/", "http://a b/", "http://a/?q"]
)
def test_an_invalid_address_is_refused(url):
    with pytest.raises(InputError) as error:
        Addresses.of_base_url(url)
    assert str(error.value).startswith(f"--base-url is {url.replace('?q', '?...')!r}, expected")


@pytest.mark.parametrize(("level", "part"), [("frame", "train"), ("video", "validate"), ("video", "train")])
def test_what_version_3_lacks_is_refused(level, part):
    with pytest.raises(InputError, match=f"--version is 3 with --level {level} --part {part}, allowed with it: "):
        Partition("3", level, part)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "../trainaa.tfrecord",
            "/etc/passwd",
            "trainaa.tfrecord/../../x",
            "trainaa.tfrecord\n",
            "trainaa.tfrecord.part",
        ),
        *("validateaa.tfrecord", "traina.tfrecord", "train0000.tfrecord", "trainéa.tfrecord", "", "trainaa_tfrecord"),
    ],
)
def test_a_name_that_is_not_of_a_shard_of_the_part_is_refused(name):
    with pytest.raises(DownloadError) as error:
        TRAIN.files(plan({"trainaa.tfrecord": MD5, name: MD5}), US)
    message = f"has a file {name!r}, expected names like trainaa.tfrecord"
    assert str(error.value) == f"http://data.yt8m.org/2/download_plans/frame_train.json: {message}"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>Moved</html>", "not a download plan: Expecting value: line 1 column 1 (char 0)"),
        (b'{"files": {"trainaa.tfr', "not a download plan: Unterminated string"),
        (b"\xff\xfe", "not a download plan: "),
        (
            b'{"files": {"trainaa.tfrecord": "a", "trainaa.tfrecord": "b"}}',
            "not a download plan: lists 'trainaa.tfrecord' t",
        ),
        (b"[]", "not a download plan: no object `files` in it"),
        (b"{}", "not a download plan: no object `files` in it"),
        (b'{"files": ["trainaa.tfrecord"]}', "not a download plan: no object `files` in it"),
        (b'{"files": {}}', "lists no files"),
        (b"[" * 100_000, "not a download plan: "),
        (b'{"files": {"trainaa.tfrecord": 7}}', "the MD5 of trainaa.tfrecord is 7, expected 32 hexadecimal digits"),
        (b'{"files": {"trainaa.tfrecord": "ab"}}', "the MD5 of trainaa.tfrecord is 'ab', expected 32"),
    ],
)
def test_an_invalid_plan_is_one_line_with_its_address(body, message):
    with pytest.raises(DownloadError) as error:
        TRAIN.files(body, US)
    assert str(error.value).startswith(f"http://data.yt8m.org/2/download_plans/frame_train.json: {message}")
    assert len(str(error.value).splitlines()) == 1
