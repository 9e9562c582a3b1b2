"""A synthetic world of videos: labels that occur together, shots that show them, and the best possible predictor."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.features import AUDIO_WIDTH, MAX_FRAMES, RGB_WIDTH, WIDTH
from models.layers.quantization import dequantize, quantize

BACKGROUND = -1


@dataclass(frozen=True)
class Parameters:
    """Sizes, rates and deviations of the world; `oracle.json` repeats them beside every dataset."""

    # The published vocabulary has 24 verticals. Exponents of Zipf's law: with 3862 labels the first one is on 17 % of
    # the videos; the first real one (Game) is on 20 %.
    max_groups: int = 24
    group_zipf: float = 1.0
    label_zipf: float = 1.2
    # Expected labels of the video's own group and of all others; together about the 3.0 a video of the real data.
    group_labels: float = 2.6
    stray_labels: float = 0.3
    # 5 % of the videos have 20 to 119 frames, so that there are short ones; the others have 120 or more like the
    # published ones, drawn from an exponential distribution and cut at 300. The mean is 230, as in the real data.
    short_videos: float = 0.05
    mean_frames_beyond_120: float = 200.0
    # Shots follow each other; some show none of the labels. Models that use single frames do better than the mean of
    # all, and every encoder can learn to come near the oracle (benchmarks/learnability.py).
    mean_run_frames: float = 4.0
    background_runs: float = 0.2
    # The content of a shot is a point in few dimensions. Labels of a group share `group_share` of their variance, shots
    # scatter around their label with `shot_deviation` and, if they show background, around the origin with 1.
    visual_dimensions: int = 24
    audio_dimensions: int = 6
    group_share: float = 0.5
    shot_deviation: float = 0.6
    # Deviation of a feature between shots and between frames of a shot. Neighbouring frames correlate by 0.41 (0.45
    # in real ones) and a feature's deviation is 0.97 (real: 1.06, which the clipping at 2 would reduce more).
    shot_scale: float = 0.8
    frame_noise: float = 0.6


PARAMETERS = Parameters()


@dataclass(frozen=True)
class SyntheticVideo:
    """One drawn video.

    Attributes:
        labels: int64, [labels], ascending, at least one.
        frames: uint8, [frames, 1152]; 1024 visual, then 128 audio features, quantized as the published ones are.
        run_of_frame: int64, [frames]; which run (shot) a frame belongs to, ascending from 0.
        shown: int64, [runs]; the label that a run shows, or BACKGROUND.
    """

    labels: NDArray[np.int64]
    frames: NDArray[np.uint8]
    run_of_frame: NDArray[np.int64]
    shown: NDArray[np.int64]


class World:
    """Labels: how often they occur, alone and together, and what they look and sound like.

    It depends only on the number of labels: data sets of different seeds hold different videos of the same world, so a
    model trained on one can be tested on the other.

    Args:
        labels: number of labels, at least 2. In each group the labels are ordered from frequent to rare.
        parameters: of the videos.
    """

    def __init__(self, labels: int, parameters: Parameters = PARAMETERS) -> None:
        self.parameters = parameters
        rng = np.random.Generator(np.random.SFC64(labels))
        groups = min(self.parameters.max_groups, max(2, labels // 10))
        self.group_of_label = np.arange(labels) % groups
        self.group_rates = np.arange(1.0, groups + 1) ** -self.parameters.group_zipf
        self.group_rates /= self.group_rates.sum()
        self.label_rates = self._label_rates()

        dimensions = self.parameters.visual_dimensions + self.parameters.audio_dimensions
        shared = rng.standard_normal((groups, dimensions))[self.group_of_label]
        own = rng.standard_normal((labels, dimensions))
        self.prototypes = np.sqrt(self.parameters.group_share) * shared + np.sqrt(1 - self.parameters.group_share) * own
        self.basis = self._basis(rng)

    def _label_rates(self) -> NDArray[np.float64]:
        """P(label | group of the video), [groups, labels]; given the group, labels are independent."""
        groups = len(self.group_rates)
        in_group = np.arange(groups)[:, None] == self.group_of_label
        zipf = in_group * (np.arange(len(self.group_of_label)) // groups + 1.0) ** -self.parameters.label_zipf
        # At most half of a small group: with 7 classes a video must not have nearly all of them.
        expected = np.minimum(self.parameters.group_labels, in_group.sum(axis=1) / 2)
        own = expected[:, None] * zipf / zipf.sum(axis=1, keepdims=True)
        frequencies = self.group_rates @ own
        strays = self.parameters.stray_labels * frequencies / frequencies.sum()
        return np.minimum(np.where(in_group, own, strays), 0.9)

    def _basis(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Directions of a shot's dimensions among the features, [dimensions, 1152]; visual and audio ones apart."""
        visual, audio = self.parameters.visual_dimensions, self.parameters.audio_dimensions
        basis = np.zeros((visual + audio, WIDTH))
        for block, width, count in (
            (basis[:visual, :RGB_WIDTH], RGB_WIDTH, visual),
            (basis[visual:, RGB_WIDTH:], AUDIO_WIDTH, audio),
        ):
            orthonormal = np.linalg.qr(rng.standard_normal((width, count)))[0].T
            block[:] = self.parameters.shot_scale * np.sqrt(width / count) * orthonormal
        return basis

    def draw(self, seed: int, index: int) -> SyntheticVideo:
        """Video `index` of the dataset `seed`; the same in every call, in any order of calls."""
        rng = np.random.Generator(np.random.SFC64([seed, index]))
        group = rng.choice(len(self.group_rates), p=self.group_rates)
        labels = np.empty(0, np.int64)
        while not labels.size:
            labels = np.flatnonzero(rng.random(len(self.prototypes)) < self.label_rates[group])

        if rng.random() < self.parameters.short_videos:
            length = int(rng.integers(20, 120))
        else:
            length = min(MAX_FRAMES, 120 + int(rng.exponential(self.parameters.mean_frames_beyond_120)))
        starts = rng.random(length) < 1 / self.parameters.mean_run_frames
        starts[0] = True
        run_of_frame = np.cumsum(starts) - 1
        runs = int(starts.sum())
        shown = np.where(rng.random(runs) < self.parameters.background_runs, BACKGROUND, rng.choice(labels, runs))

        scatter = rng.standard_normal((runs, len(self.basis)))
        labelled = self.prototypes[shown] + self.parameters.shot_deviation * scatter
        shots = np.where((shown == BACKGROUND)[:, None], scatter, labelled) @ self.basis
        features = rng.standard_normal((length, WIDTH), dtype=np.float32)
        features *= self.parameters.frame_noise
        features += shots.astype(np.float32)[run_of_frame]
        return SyntheticVideo(labels, quantize(features), run_of_frame, shown)


class Oracle:
    """The classifier that knows how the videos were drawn: an upper bound on the score that models can expect.

    It sees the frames as written and knows what a model has to learn: the labels' prototypes, rates and groups, all
    deviations, the share of background, and also where each run begins and ends. It does not know what the runs show.
    Up to quantization and clipping, the posterior of a set S of labels is

        P(S | frames) ~ P(S) * product over runs r of (b + (1 - b) / |S| * sum over l in S of N_l(r) / N_background(r))

    with b the share of background runs, N the Gaussian densities of the mean frame of a run, and P(S) summed over the
    groups. There are too many sets to sum over: the oracle searches for the most probable one by changing a label at a
    time. In the result, given the others, each label of the set has a probability above 0.5 and no other label has.
    """

    def __init__(self, world: World) -> None:
        self.parameters = world.parameters
        self._prototypes = world.prototypes
        self._to_shots = np.linalg.pinv(world.basis)
        self._noise = self.parameters.frame_noise**2 * (self._to_shots**2).sum(axis=0)
        self._odds = world.label_rates / (1 - world.label_rates)
        none = np.prod(1 - world.label_rates, axis=1)
        # Up to a constant P(group, no label), had videos without labels not been drawn again.
        self._groups = world.group_rates * none / (1 - none)

    def labels(self, video: SyntheticVideo) -> NDArray[np.int64]:
        """The labels with a probability above 0.5, int64, ascending; at least one."""
        return np.flatnonzero(self.search(self.density_ratios(video)))

    def search(self, ratios: NDArray[np.float64]) -> NDArray[np.bool_]:
        """The most probable set of labels for the density ratios of a video, [labels]."""
        chosen = np.zeros(len(self._prototypes), bool)
        while True:
            gains = self.log_gains(chosen, ratios)
            best = gains.argmax()
            # Above the rounding errors of the sums (1e-12), or a label might be added and removed for ever.
            if chosen.any() and gains[best] < 1e-9:
                return chosen
            chosen[best] = not chosen[best]

    def log_gains(self, chosen: NDArray[np.bool_], ratios: NDArray[np.float64]) -> NDArray[np.float64]:
        """What log P(S | frames) gains when a label enters or leaves the set S = chosen, [labels]."""
        groups = self._groups * self._odds[:, chosen].prod(axis=1)
        prior = np.log(groups / groups.sum() @ np.where(chosen, 1 / self._odds, self._odds))

        change = np.where(chosen, -1, 1)
        count = chosen.sum()
        evidence = ratios[:, chosen].sum(axis=1, keepdims=True)
        changed = np.maximum(evidence + change * ratios, 0) / np.maximum(count + change, 1)
        share = self.parameters.background_runs
        before = np.log(share + (1 - share) * evidence / max(count, 1)).sum()
        after = np.log(share + (1 - share) * changed).sum(axis=0)
        return np.where(count + change > 0, prior + after - before, -np.inf)

    def density_ratios(self, video: SyntheticVideo) -> NDArray[np.float64]:
        """N_l(r) / N_background(r): how much better each label explains each run, [runs, labels]."""
        starts = np.flatnonzero(np.diff(video.run_of_frame, prepend=-1))
        lengths = np.diff(starts, append=len(video.frames))[:, None]
        means = np.add.reduceat(video.frames, starts, axis=0, dtype=np.float32) / lengths
        shots = np.asarray(dequantize(means)) @ self._to_shots
        label = 1 / (self.parameters.shot_deviation**2 + self._noise / lengths)
        background = 1 / (1 + self._noise / lengths)
        logs = (shots * label) @ self._prototypes.T - label @ (self._prototypes**2 / 2).T
        logs += (np.log(label / background) - shots**2 * (label - background)).sum(axis=1, keepdims=True) / 2
        return np.exp(logs)
