"""Rated segments of synthetic videos, in which labels come and go, and how well they can be ranked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.features import SEGMENT_FRAMES
from pipeline.data.synthetic_videos import PARAMETERS, Oracle, SyntheticVideo, World

# Videos whose labels are rated in time. Shots are longer: a label comes, stays for ten seconds, and goes. They are less
# like their label, so that five frames leave a doubt that the whole video can remove.
RATED_VIDEOS = replace(PARAMETERS, mean_run_frames=10.0, shot_deviation=1.8)


@dataclass(frozen=True)
class SegmentParameters:
    """Sizes and rates of rated segments; `oracle.json` repeats them."""

    # Frames of a segment that show a label for it to hold there: a glimpse is none.
    shown_frames: int = 2
    # Rated segments a video, as in the published data; their starts are multiples of five.
    segments: int = 5
    # Probability that a segment is rated for a second label.
    second_rating: float = 0.3
    # Probabilities that a rating is of a label that holds in the segment, and of one of the video's others; else it is
    # of a label that the video does not have, drawn as the labels of its group are.
    shown_label: float = 0.5
    video_label: float = 0.25


SEGMENT_PARAMETERS = SegmentParameters()


@dataclass(frozen=True)
class Rating:
    """Whether a label holds in the segment that begins at a frame."""

    start: int
    label: int
    holds: bool


def rate(world: World, video: SyntheticVideo, seed: int, index: int) -> list[Rating]:
    """The ratings of video `index` of the data set `seed`, by start; the same in every call."""
    rng = np.random.Generator(np.random.SFC64([seed, index, 1]))
    starts = np.arange(0, len(video.frames) - SEGMENT_FRAMES + 1, SEGMENT_FRAMES)
    chosen = rng.choice(starts, min(SEGMENT_PARAMETERS.segments, len(starts)), replace=False)
    ratings = []
    for start in np.sort(chosen).tolist():
        holding = labels_that_hold(video, start)
        first = _label(world, video, holding, rng)
        rated = [first]
        if rng.random() < SEGMENT_PARAMETERS.second_rating and (second := _label(world, video, holding, rng)) != first:
            rated.append(second)
        ratings += [Rating(start, label, label in holding) for label in rated]
    return ratings


def labels_that_hold(video: SyntheticVideo, start: int) -> list[int]:
    """The labels that enough frames of a segment show, ascending."""
    shown = video.shown[video.run_of_frame[start : start + SEGMENT_FRAMES]]
    labels, frames = np.unique(shown[shown >= 0], return_counts=True)
    return labels[frames >= SEGMENT_PARAMETERS.shown_frames].tolist()


def _label(world: World, video: SyntheticVideo, holding: Sequence[int], rng: np.random.Generator) -> int:
    """A label to rate."""
    kind = rng.random()
    if holding and kind < SEGMENT_PARAMETERS.shown_label:
        return int(rng.choice(holding))
    others = np.setdiff1d(video.labels, holding)
    if len(others) and kind < SEGMENT_PARAMETERS.shown_label + SEGMENT_PARAMETERS.video_label:
        return int(rng.choice(others))
    rates = world.label_rates[world.group_of_label[video.labels[0]]].copy()
    rates[video.labels] = 0
    return int(rng.choice(len(rates), p=rates / rates.sum()) if rates.any() else rng.choice(video.labels))


class SegmentOracle:
    """Ranks rated segments, knowing what `Oracle` knows.

    The score of a label is the probability that the video has it, given the other labels that the oracle found, times
    that of enough frames of the segment showing it if the video has it. Given the labels S of the video, a run r shows
    the label l with the probability

        (1 - b) / |S| * N_l(r) / N_background(r) / (b + (1 - b) / |S| * sum over m in S of N_m(r) / N_background(r))
    """

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle

    def scores(self, video: SyntheticVideo, ratings: Sequence[Rating]) -> NDArray[np.float64]:
        """Of each rating, [ratings]."""
        ratios = self._oracle.density_ratios(video)
        chosen = self._oracle.search(ratios)
        gains = self._oracle.log_gains(chosen, ratios)
        log_odds = np.where(chosen, -gains, gains)
        return np.array([self._score(video, rating, ratios, chosen, log_odds) for rating in ratings])

    def _score(
        self,
        video: SyntheticVideo,
        rating: Rating,
        ratios: NDArray[np.float64],
        chosen: NDArray[np.bool_],
        log_odds: NDArray[np.float64],
    ) -> float:
        runs, frames = np.unique(video.run_of_frame[rating.start : rating.start + SEGMENT_FRAMES], return_counts=True)
        with_label = chosen.copy()
        with_label[rating.label] = True
        background = self._oracle.parameters.background_runs
        share = (1 - background) / np.count_nonzero(with_label)
        shows = share * ratios[runs, rating.label]
        shows /= background + share * ratios[runs][:, with_label].sum(axis=1)
        # Probabilities of 0 to 5 frames that show it; what runs show is independent.
        number = np.zeros(SEGMENT_FRAMES + 1)
        number[0] = 1
        for probability, length in zip(shows, frames, strict=True):
            number = (1 - probability) * number + probability * np.roll(number, length)
        has_label = 1 / (1 + np.exp(-log_odds[rating.label]))
        return float(has_label * number[SEGMENT_PARAMETERS.shown_frames :].sum())
