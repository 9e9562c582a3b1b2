"""Thresholds as a user writes them."""

import pytest

from components.evaluator.requirements import Requirement, parse_requirements
from models.errors import InputError


def test_thresholds_are_read_by_metric_and_slice():
    assert parse_requirements({"gap": {"min": 0.8}, "f1@num_frames:061-120": {"min": 0.5, "min_change": 0.0}}) == [
        Requirement("gap", min=0.8),
        Requirement("f1", "num_frames", "061-120", min=0.5, min_change=0.0),
    ]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("accuracy", "there is no metric 'accuracy', allowed: f1, precision, recall, macro_f1"),
        ("f1@num_labels", "'f1@num_labels' has no valid slice, expected METRIC@FEATURE:VALUE"),
        ("f1@num_labels:", "has no valid slice"),
        ("gap@", "has no valid slice"),
    ],
)
def test_a_malformed_threshold_is_refused(key, message):
    with pytest.raises(InputError, match=message) as error:
        parse_requirements({key: {"min": 0.5}})
    assert "\n" not in str(error.value)
