"""TFRecord framing equals TensorFlow's, and damage loses no other records."""

import gzip
import io
import struct
import tracemalloc
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen import tfrecord
from components.example_gen.tfrecord import Damage, read_records, write_record

payloads = st.lists(st.binary(max_size=40), min_size=1, max_size=5)


def shard(records):
    file = io.BytesIO()
    for record in records:
        write_record(file, record)
    return file.getvalue()


def read(content):
    return list(read_records(io.BytesIO(content)))


@given(payloads)
def test_records_read_as_they_were_written(records):
    assert read(shard(records)) == records


def test_tensorflow_reads_what_we_write_and_we_read_what_it_writes(tmp_path):
    records = [b"", b"one", bytes(range(256)) * 50]
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.write_bytes(shard(records))
    with tf.io.TFRecordWriter(str(theirs)) as writer:
        for record in records:
            writer.write(record)
    assert [record.numpy() for record in tf.data.TFRecordDataset(str(ours))] == records
    assert ours.read_bytes() == theirs.read_bytes()
    assert read(theirs.read_bytes()) == records


@settings(max_examples=300)
@given(payloads, st.data())
def test_a_flipped_bit_is_noticed_and_loses_no_record_before_it(records, data):
    content = bytearray(shard(records))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    records_and_damage = read(bytes(content))
    ends = [sum(16 + len(record) for record in records[: count + 1]) for count in range(len(records))]
    hit = next(number for number, end in enumerate(ends) if place < end)
    assert records_and_damage[:hit] == records[:hit]
    assert isinstance(records_and_damage[hit], Damage)
    assert records_and_damage[hit + 1 :] == records[hit + 1 :]
    assert records_and_damage[hit].lost_bytes == 16 + len(records[hit])


@settings(max_examples=300)
@given(payloads, st.data())
def test_a_missing_part_loses_the_records_that_it_touches(records, data):
    content = shard(records)
    begin = data.draw(st.integers(0, len(content) - 1))
    end = data.draw(st.integers(begin + 1, len(content)))
    ends = [sum(16 + len(record) for record in records[: count + 1]) for count in range(len(records))]
    starts = [0, *ends][:-1]
    whole = [record for record, first, last in zip(records, starts, ends, strict=True) if last <= begin or first >= end]
    records_and_damage = read(content[:begin] + content[end:])
    kept = Counter(record for record in records_and_damage if isinstance(record, bytes))
    assert kept >= Counter(whole) and kept <= Counter(records)


@settings(max_examples=200)
@given(payloads, st.data())
def test_a_cut_file_gives_its_whole_records_and_one_damage(records, data):
    content = shard(records)
    cut = data.draw(st.integers(1, len(content) - 1))
    ends = [sum(16 + len(record) for record in records[: count + 1]) for count in range(len(records))]
    whole = sum(end <= cut for end in ends)
    records_and_damage = read(content[:cut])
    assert records_and_damage[:whole] == records[:whole]
    at_a_boundary = cut in ends
    assert len(records_and_damage) == whole + (not at_a_boundary)
    if not at_a_boundary:
        assert records_and_damage[-1].lost_bytes == cut - ([0, *ends][whole])


def test_the_first_byte_of_a_record_is_not_taken_for_text():
    assert read(shard([b"\0" * ord("!")])[:1]) == [
        Damage("the file ends inside a record header (1 of 12 bytes), 1 byte lost", 1)
    ]


def test_an_empty_file_is_damage():
    assert read(b"") == [Damage("the file is empty (0 bytes)", 0)]


@pytest.mark.parametrize("claimed", [2**40, 2**63])
def test_an_absurd_length_is_not_allocated(claimed):
    file = io.BytesIO()
    write_record(file, b"x")
    length = struct.pack("<Q", claimed)
    content = length + struct.pack("<I", tfrecord._masked_crc(length)) + b"x" * 20
    [damage] = read(content)
    assert f"the record has {claimed:,} bytes, at most 67,108,864 are read" in damage.reason
    assert damage.lost_bytes == len(content)


def test_a_made_up_length_that_fits_loses_no_record_after_it(tmp_path):
    records = [bytes(1000), b"one", b"two"]
    content = bytearray(shard(records))
    length = struct.pack("<Q", 1010)
    content[:12] = length + struct.pack("<I", tfrecord._masked_crc(length))
    damage, *rest = read(bytes(content))
    assert isinstance(damage, Damage) and rest == records[1:]


@pytest.mark.parametrize("kind", ["GZIP", "ZLIB"])
def test_shards_compressed_by_tensorflow_are_read_and_a_cut_is_reported(tmp_path, kind):
    records = [bytes([number]) * 5000 for number in range(50)] + [np.random.default_rng(1).bytes(200_000)]
    path = tmp_path / "shard"
    with tf.io.TFRecordWriter(str(path), kind) as writer:
        for record in records:
            writer.write(record)
    content = path.read_bytes()
    assert read(content) == records
    *before, damage = read(content[: len(content) // 2])
    assert before == records[:50] and damage.reason.startswith("the compressed data end early: the rest is not")
    assert damage.lost_bytes == 0
    *before, damage = read(content[:1000] + bytes(50) + content[1050:])
    assert all(isinstance(record, Damage) or record in records for record in before)
    assert 0 < damage.lost_bytes <= len(content) and "bytes lost" in damage.reason


def test_padding_after_gzip_is_no_damage():
    assert read(gzip.compress(shard([b"one"])) + bytes(100) + gzip.compress(shard([b"two"]))) == [b"one", b"two"]


def test_a_damaged_length_that_looks_like_zlib_costs_its_record_alone():
    records = [bytes(0x0178), *(bytes([number]) * 500 for number in range(20))]
    content = bytearray(shard(records))
    assert content[0] == 0x78 and int.from_bytes(content[:2], "big") % 31 == 0
    content[9] ^= 1
    damage, *after = read(bytes(content))
    assert after == records[1:] and "checksum of the record's length" in damage.reason


def test_compressed_zeros_take_no_memory():
    bomb = gzip.compress(shard([b"one"]) + bytes(300_000_000), 1)
    tracemalloc.start()
    one, damage = read(bomb)
    assert one == b"one" and damage.lost_bytes == 300_000_000
    assert tracemalloc.get_traced_memory()[1] < 30_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<!DOCTYPE html><html>Not found</html>", "HTML or XML"),
        (b"id,labels\nabc,1 2\n", "CSV"),
        (b'{"id": 1}', "JSON"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a PNG image"),
        (b"PK\x03\x04" + bytes(100), "a zip archive"),
        (b"PAR1" + bytes(100), "Parquet"),
        (b"\0\0\0\x18ftypmp42" + bytes(100), "an MP4 video"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a pointer of Git LFS"),
        (gzip.compress(b"<html>", mtime=0), "HTML or XML"),
        (gzip.compress(b"a.tfrecord".ljust(257, b"\0") + b"ustar" + bytes(250), mtime=0), "a tar archive"),
        (b"just some words", "text"),
        (
            tf.train.SequenceExample(
                context=tf.train.Features(
                    feature={"id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"video"]))}
                )
            ).SerializeToString(),
            "a single serialized tf.Example or tf.SequenceExample",
        ),
    ],
)
def test_a_file_of_another_kind_is_named(content, kind):
    [damage] = read(content)
    assert damage.reason.startswith(f"not a TFRecord file: it looks like {kind}")


def test_made_up_headers_do_not_prolong_the_search_for_a_record(monkeypatch):
    monkeypatch.setattr(tfrecord, "MOST_WASTED_BYTES", 10_000)
    length = struct.pack("<Q", 1000)
    header = length + struct.pack("<I", tfrecord._masked_crc(length))
    content = header * 1000
    [damage] = read(content)
    assert damage.lost_bytes == len(content)


def test_a_damaged_record_at_the_end_of_a_chunk_loses_no_record_after_it(monkeypatch):
    monkeypatch.setattr(tfrecord, "CHUNK", 100)
    for size in range(250):
        records = [b"good", b"first", bytes(size), *(b"after %d" % number for number in range(20))]
        content = bytearray(shard(records))
        content[20] ^= 1  # the length of the second record
        content[20 + 21 + 16 + size - 1] ^= 1  # the checksum of the third, which ends near the end of a chunk
        good, damage, *rest = read(bytes(content))
        assert good == b"good" and isinstance(damage, Damage) and rest == records[3:]
