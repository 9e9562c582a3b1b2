"""The synthetic world is long-tailed, grouped and learnable, and its oracle follows its definition."""

import itertools

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.synthetic_videos import BACKGROUND, PARAMETERS, Oracle, SyntheticVideo, World

SEED = 3


@pytest.fixture(scope="module")
def drawn() -> tuple[World, list[SyntheticVideo]]:
    world = World(30)
    return world, [world.draw(SEED, index) for index in range(600)]


def test_label_frequencies_have_a_long_tail() -> None:
    world = World(3862)
    frequencies = np.sort(world.group_rates @ world.label_rates)[::-1]
    assert 0.1 < frequencies[0] < 0.3
    assert 2.5 < frequencies.sum() < 3.5
    # A straight line on logarithmic axes: a tenth of the labels has most of the videos, the middle label has few.
    assert frequencies[:386].sum() > 0.6 * frequencies.sum()
    assert frequencies[1931] < frequencies[0] / 200


def test_labels_occur_as_often_as_their_rates_say_and_together_in_groups(
    drawn: tuple[World, list[SyntheticVideo]],
) -> None:
    world, videos = drawn
    present = np.zeros((len(videos), 30))
    for row, video in zip(present, videos, strict=True):
        row[video.labels] = 1
    # Videos without any label are drawn again.
    empty = np.prod(1 - world.label_rates, axis=1)
    expected = world.group_rates @ (world.label_rates / (1 - empty)[:, None])
    error = np.sqrt(expected * (1 - expected) / len(videos))
    assert (abs(present.mean(axis=0) - expected) < 4 * error).all()

    together = present.T @ present / len(videos)
    lift = together / np.outer(expected, expected)
    same = world.group_of_label[:, None] == world.group_of_label
    different = ~same & (np.outer(expected, expected) * len(videos) > 5)
    same &= ~np.eye(30, dtype=bool) & (np.outer(expected, expected) * len(videos) > 5)
    assert same.sum() > 10 and lift[same].mean() > 1.3 and lift[different].mean() < 0.9


def test_lengths_are_those_of_the_published_videos(drawn: tuple[World, list[SyntheticVideo]]) -> None:
    lengths = np.array([len(video.frames) for video in drawn[1]])
    assert lengths.min() >= 20 and lengths.max() == 300
    assert 220 < lengths.mean() < 240
    assert 0 < (lengths < 120).mean() < 0.1


def test_frames_come_in_runs_that_show_labels_of_the_video(drawn: tuple[World, list[SyntheticVideo]]) -> None:
    world, videos = drawn
    shots = np.linalg.pinv(world.basis)
    neighbours, strangers, nearest = [], [], []
    for video in videos[:40]:
        features = video.frames * (4 / 255) + 4 / 512 - 2
        features -= features.mean(axis=0)
        power = (features**2).mean()
        neighbours.append((features[1:] * features[:-1]).mean() / power)
        strangers.append((features[15:] * features[:-15]).mean() / power if len(features) > 60 else 0)
        assert set(video.shown) <= {BACKGROUND, *video.labels}
        for run in np.flatnonzero(video.shown != BACKGROUND):
            shot = ((video.frames[video.run_of_frame == run]).mean(axis=0) * (4 / 255) + 4 / 512 - 2) @ shots
            nearest.append(((world.prototypes - shot) ** 2).sum(axis=1).argmin() == video.shown[run])
    assert 0.3 < np.mean(neighbours) < 0.6
    assert abs(np.mean(strangers)) < 0.1
    assert np.mean(nearest) > 0.9
    runs = sum(len(video.shown) for video in videos)
    assert sum(len(video.frames) for video in videos) / runs == pytest.approx(PARAMETERS.mean_run_frames, rel=0.05)
    background = np.mean(np.concatenate([video.shown for video in videos]) == BACKGROUND)
    assert background == pytest.approx(PARAMETERS.background_runs, rel=0.05)


def micro_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    return 2 * (labels & predicted).sum() / (labels.sum() + predicted.sum())


def test_averaging_beats_chance_frames_beat_averaging_and_nothing_beats_the_oracle(
    drawn: tuple[World, list[SyntheticVideo]],
) -> None:
    world, videos = drawn
    train, test = slice(0, 450), slice(450, None)
    labels = np.zeros((len(videos), 30), bool)
    oracle = np.zeros_like(labels)
    means = np.empty((len(videos), 1152))
    closest = np.empty((len(videos), 30))
    shots = np.linalg.pinv(world.basis)
    answer = Oracle(world).labels
    for number, video in enumerate(videos):
        labels[number, video.labels] = True
        oracle[number, answer(video)] = True
        means[number] = video.frames.mean(axis=0) * (4 / 255) + 4 / 512 - 2
        frames = (video.frames * (4 / 255) + 4 / 512 - 2) @ shots
        closest[number] = (frames @ world.prototypes.T - (world.prototypes**2).sum(axis=1) / 2).max(axis=0)

    def learned(features: np.ndarray) -> float:
        """Test score of a ridge regression, cut where it scores best on its training videos."""
        x = np.c_[features, np.ones(len(features))]
        gram = x[train].T @ x[train] + 30 * np.eye(x.shape[1])
        scores = x @ np.linalg.solve(gram, x[train].T @ labels[train])
        cut = max(np.linspace(0.1, 0.9, 33), key=lambda cut: micro_f1(labels[train], scores[train] > cut))
        return micro_f1(labels[test], scores[test] > cut)

    common = labels[train].mean(axis=0) >= np.sort(labels[train].mean(axis=0))[::-1][:10, None]
    chance = max(micro_f1(labels[test], np.broadcast_to(row, labels[test].shape)) for row in common)
    averaging, of_frames, best = learned(means @ shots), learned(closest), micro_f1(labels[test], oracle[test])
    assert chance + 0.1 < averaging
    assert averaging + 0.05 < of_frames
    assert of_frames + 0.05 < best < 1


@pytest.fixture(scope="module")
def small_world() -> World:
    """Its groups have different sizes: how rarely a group has no label weighs too."""
    return World(7)


@pytest.fixture(scope="module")
def small_oracle(small_world: World) -> Oracle:
    return Oracle(small_world)


def log_prior(world: World, chosen: tuple[int, ...]) -> float:
    """log P(S) up to a constant, from the definition."""
    prior = 0.0
    for rate, rates in zip(world.group_rates, world.label_rates, strict=True):
        of_set = np.prod([rates[label] if label in chosen else 1 - rates[label] for label in range(len(rates))])
        prior += rate * of_set / (1 - np.prod(1 - rates))
    return float(np.log(prior))


def log_likelihood(chosen: tuple[int, ...], ratios: np.ndarray) -> float:
    """log P(runs | S) up to a constant, from the definition."""
    background = PARAMETERS.background_runs
    return float(np.log(background + (1 - background) / len(chosen) * ratios[:, chosen].sum(axis=1)).sum())


def log_posterior(world: World, chosen: tuple[int, ...], ratios: np.ndarray) -> float:
    """log P(S | runs) up to a constant."""
    return log_prior(world, chosen) + log_likelihood(chosen, ratios)


@given(seed=st.integers(0, 10**6), spread=st.floats(0, 10), answer=st.sets(st.integers(0, 6), min_size=1))
@settings(max_examples=50)
def test_the_oracle_knows_what_each_change_of_the_answer_gains(
    small_world: World, small_oracle: Oracle, seed: int, spread: float, answer: set[int]
) -> None:
    ratios = np.exp(spread * np.random.default_rng(seed).standard_normal((9, 7)))
    before = log_posterior(small_world, tuple(answer), ratios)
    neighbours = [tuple(answer ^ {label}) for label in range(7)]
    expected = [log_posterior(small_world, chosen, ratios) - before if chosen else -np.inf for chosen in neighbours]
    gains = small_oracle.log_gains(np.isin(np.arange(7), list(answer)), ratios)
    np.testing.assert_allclose(gains, expected, rtol=1e-4, atol=1e-4)


def test_the_oracle_predicts_the_most_probable_of_all_sets(small_world: World, small_oracle: Oracle) -> None:
    sets = [chosen for count in range(1, 8) for chosen in itertools.combinations(range(7), count)]
    priors = {chosen: log_prior(small_world, chosen) for chosen in sets}
    same = 0
    for index in range(60):
        video = small_world.draw(1, index)
        ratios = small_oracle.density_ratios(video)
        best = max(sets, key=lambda chosen: priors[chosen] + log_likelihood(chosen, ratios))
        same += best == tuple(small_oracle.labels(video))
    assert same >= 59


def test_the_oracle_weighs_runs_by_the_density_of_their_features() -> None:
    world = World(4)
    video = next(video for index in range(200) if len((video := world.draw(2, index)).shown) <= 9)
    features = video.frames * (4 / 255) + 4 / 512 - 2
    scatter = world.basis.T @ world.basis

    def log_densities(mean: np.ndarray, centres: np.ndarray, deviation: float, frames: int) -> np.ndarray:
        """Of normal distributions of one covariance, up to a constant, at a mean of so many frames."""
        covariance = deviation**2 * scatter + PARAMETERS.frame_noise**2 / frames * np.eye(1152)
        root = np.linalg.cholesky(covariance)
        distances = scipy.linalg.solve_triangular(root, (mean - centres).T, lower=True)
        return -np.log(np.diagonal(root)).sum() - (distances**2).sum(axis=0) / 2

    ratios = np.log(Oracle(world).density_ratios(video))
    for run, found in enumerate(ratios):
        frames = features[video.run_of_frame == run]
        mean = frames.mean(axis=0)
        [background] = log_densities(mean, np.zeros((1, 1152)), 1, len(frames))
        expected = log_densities(mean, world.prototypes @ world.basis, PARAMETERS.shot_deviation, len(frames))
        np.testing.assert_allclose(found, expected - background, atol=1e-3)
