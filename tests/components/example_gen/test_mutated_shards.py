"""A hundred mutated shards; `make test-faults` tries thousands."""

from faults.fuzz_records import fuzz


def test_no_mutation_crashes_a_reader_or_loses_a_record_silently(means, frames):
    shards = [path for folder in (means, frames) for path in sorted(folder.glob("*.tfrecord"))[:2]]
    counts, problems = fuzz(shards, 100, seed=1)
    assert problems == []
    assert counts["mutations"] == 100 and counts["videos"] > 300 and counts["rejected"] > 50
