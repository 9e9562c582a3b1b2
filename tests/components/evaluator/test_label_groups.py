"""The groups of labels with an F1 of their own."""

import numpy as np

from components.evaluator.label_groups import label_groups


def test_labels_are_grouped_by_their_frequency_in_training():
    videos = np.random.default_rng(0).permutation(200)
    names = [f"name {label}" for label in range(200)]
    groups = label_groups(videos, names, verticals=())
    assert {name: len(labels) for name, labels in groups.items() if ":" not in name} == {
        "head": 20, "middle": 80, "tail": 100,
    }  # fmt: skip
    assert sorted(groups["head"] + groups["middle"] + groups["tail"]) == list(range(200))
    assert videos[groups["head"]].min() > videos[groups["middle"]].max()
    assert videos[groups["middle"]].min() > videos[groups["tail"]].max()
    frequent = [labels for name, labels in groups.items() if name.startswith("label:")]
    assert frequent == [[label] for label in np.argsort(-videos)[:10]]


def test_verticals_are_groups_without_the_labels_that_have_none():
    groups = label_groups([5, 4, 3, 2], ["a", "b", "c", "d"], ["Games", "", "Food", "Games"])
    assert groups["vertical:Games"] == [0, 3] and groups["vertical:Food"] == [2]
    assert {name for name in groups if name.startswith("vertical:")} == {"vertical:Games", "vertical:Food"}
