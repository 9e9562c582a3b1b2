"""Groups of labels with an F1 of their own: by frequency, by vertical, and single frequent labels."""

from collections.abc import Sequence

import numpy as np

# Shares of the labels, the most frequent of the training split first.
HEAD, MIDDLE = 0.1, 0.4

# Single labels with a score of their own.
FREQUENT = 10


def label_groups(videos: Sequence[int], names: Sequence[str], verticals: Sequence[str]) -> dict[str, list[int]]:
    """Label ids by group.

    Args:
        videos: number of videos of the training split by label id.
        names: of the labels.
        verticals: the top-level vertical of each label; "" for none, empty where the vocabulary has none.

    Returns:
        `head` (the most frequent tenth), `middle` (the next four), `tail` (the rest), `vertical:<name>`, and
        `label:<name>` for the ten most frequent; of equally frequent labels, lower ids come first.
    """
    order = np.argsort(-np.asarray(videos), kind="stable").tolist()
    first, second = round(HEAD * len(order)), round((HEAD + MIDDLE) * len(order))
    groups = {"head": order[:first], "middle": order[first:second], "tail": order[second:]}
    for vertical in sorted({name for name in verticals if name}):
        groups[f"vertical:{vertical}"] = [label for label, name in enumerate(verticals) if name == vertical]
    groups |= {f"label:{names[label]}": [label] for label in order[:FREQUENT]}
    return {name: labels for name, labels in groups.items() if labels}
