"""Initial biases with which an untrained model predicts each label's share of the training videos."""

import keras
import numpy as np

# Biases can raise a factor of the probabilities no further.
_MOST = 0.9


def label_shares(labels: np.ndarray, videos: int, classes: int) -> np.ndarray:
    """The share of the videos that have each label, as if there were one more with an average share of every label.

    So labels without a video have a small share too, and a bias that is a number.

    Args:
        labels: int, the labels of all videos, one after the other.
        videos: number of videos, at least 1.
        classes: number of labels.

    Returns:
        float64 [classes], between 0 and 1.

    Example:
        >>> label_shares(np.array([0, 1, 0]), videos=2, classes=3).round(3).tolist()
        [0.833, 0.5, 0.167]
    """
    counts = np.bincount(labels, minlength=classes)
    return (counts + counts.mean() / videos) / (videos + 1)


def predict_shares(model: keras.Model, shares: np.ndarray) -> None:
    """Sets the biases of an untrained model, in place, so that its probabilities are near the labels' shares.

    With biases of 0 they are near 0.5, and Adam needs thousands of steps to bring thousands of rare labels down: the
    initialization of section 3.3 of Lin et al., arXiv 1708.02002.

    Args:
        model: from `build_video_classifier`, with a logistic classifier or a mixture of experts, gated or not.
        shares: float [classes], between 0 and 1.
    """
    layers = {layer.name: layer for layer in model.layers}
    if "probabilities_gated" in layers:
        shares = shares * 2  # its gates are near 1/2
    if "experts" not in layers:
        layers["logits"].bias.assign(_logits(shares))
        return
    experts = layers["experts"].experts
    # A share of 1 / (experts + 1) goes to no expert.
    layers["experts"].bias.assign(np.repeat(_logits(shares * (experts + 1) / experts), experts))


def _logits(probabilities: np.ndarray) -> np.ndarray:
    bounded = np.minimum(probabilities, _MOST)
    return np.log(bounded / (1 - bounded))
