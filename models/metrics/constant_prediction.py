"""The metrics of a constant prediction: the same probabilities for every video."""

import numpy as np

from models.metrics.outcomes import CELLS, Outcomes
from models.metrics.video_metrics import VideoMetrics


def constant_metrics(probabilities: np.ndarray, videos: int, actual: np.ndarray) -> VideoMetrics:
    """The metrics of the same probabilities for every video.

    What `VideoMetrics.update` counts of such predictions depends on how many videos have each label alone, so no pass
    over the videos is needed. Only `perr`, which depends on the labels of each video, is left at 0.

    Args:
        probabilities: of the labels, float [classes]; in 0 ... 1.
        videos: number of videos.
        actual: how many of them have each label, int64 [classes].

    Example:
        >>> metrics = constant_metrics(np.array([0.6, 0.1]), videos=4, actual=np.array([3, 1]))
        >>> metrics.scores()["precision"], metrics.scores()["recall"]
        (0.75, 0.75)
    """
    # Of one video that has all labels.
    outcomes = Outcomes.of(probabilities[None], np.ones((1, len(probabilities))))
    predicted, best = outcomes.predicted, outcomes.best[0]
    metrics = VideoMetrics(len(probabilities))
    metrics.videos = videos
    metrics.actual += actual
    metrics.predicted[predicted] = videos
    metrics.true_positives[predicted] = actual[predicted]
    metrics.pairs[outcomes.cells] = videos * outcomes.pairs
    metrics.probabilities[outcomes.cells] = videos * outcomes.probabilities
    metrics.positives += np.bincount(outcomes.cells_of_labels(), actual, minlength=CELLS).astype(np.int64)
    metrics.first_is_right = int(actual[best[0]])
    metrics.ranked.add_repeated(outcomes.scores[0], actual[best], best, videos)
    return metrics
