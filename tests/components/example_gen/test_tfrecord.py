"""TFRecord framing against TensorFlow's, and what damage costs."""

import io

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen.tfrecord import Damage, read_records, write_record

payloads = st.lists(st.binary(max_size=40), min_size=1, max_size=5)


def shard(records):
    file = io.BytesIO()
    for record in records:
        write_record(file, record)
    return file.getvalue()


def read(content):
    return list(read_records(io.BytesIO(content), len(content)))


@given(payloads)
def test_what_is_written_is_read(records):
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
def test_a_flipped_bit_is_found_and_costs_no_record_before_it(records, data):
    content = bytearray(shard(records))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    found = read(bytes(content))
    ends = [sum(16 + len(record) for record in records[: count + 1]) for count in range(len(records))]
    hit = next(number for number, end in enumerate(ends) if place < end)
    assert found[:hit] == records[:hit]
    assert isinstance(found[hit], Damage)
    in_payload = place - (ends[hit] - len(records[hit]) - 4) >= 0
    # A wrong payload costs itself alone, a wrong length the rest of the file.
    assert found[hit + 1 :] == (records[hit + 1 :] if in_payload else [])
    assert found[hit].lost_bytes == (0 if in_payload else len(content) - (ends[hit] - 16 - len(records[hit])))


@settings(max_examples=200)
@given(payloads, st.data())
def test_a_cut_file_gives_its_whole_records_and_one_damage(records, data):
    content = shard(records)
    cut = data.draw(st.integers(1, len(content) - 1))
    ends = [sum(16 + len(record) for record in records[: count + 1]) for count in range(len(records))]
    whole = sum(end <= cut for end in ends)
    found = read(content[:cut])
    assert found[:whole] == records[:whole]
    at_a_boundary = cut in ends
    assert len(found) == whole + (not at_a_boundary)
    if not at_a_boundary:
        assert found[-1].lost_bytes == cut - ([0, *ends][whole])


def test_an_empty_file_is_damage():
    assert read(b"") == [Damage("the file is empty (0 bytes)")]


@pytest.mark.parametrize("claimed", [2**40, 2**63])
def test_an_absurd_length_is_not_allocated(claimed):
    file = io.BytesIO()
    write_record(file, b"x")
    import struct

    from components.example_gen import tfrecord

    length = struct.pack("<Q", claimed)
    content = length + struct.pack("<I", tfrecord._masked_crc(length)) + b"x" * 20
    [damage] = read(content)
    assert "ends inside the record" in damage.reason and damage.lost_bytes == len(content)
