"""NeXtVLAD against its paper's formulas; test_cluster_pooling.py tests what all pooling encoders share."""

from collections.abc import Callable

import numpy as np
import pytest

from models.encoders.next_vlad import NeXtVLAD


def normalize(values: np.ndarray, weights: dict[str, np.ndarray], name: str, training: bool) -> np.ndarray:
    mean = values.mean(axis=0) if training else weights[f"{name}/moving_mean"]
    variance = values.var(axis=0) if training else weights[f"{name}/moving_variance"]
    return (values - mean) / np.sqrt(variance + 1e-3) * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


@pytest.fixture
def by_formulas(videos: list[np.ndarray], weights_of: Callable) -> Callable[..., np.ndarray]:
    """The sums of the paper, frame by frame, group by group and cluster by cluster, in float64."""

    def pool(layer: NeXtVLAD, training: bool = False) -> np.ndarray:
        weights, groups, clusters = weights_of(layer), layer.groups, layer.clusters
        expanded = np.concatenate(videos) @ weights["expand"] + weights["expand_bias"]
        attention = 1 / (1 + np.exp(-(expanded @ weights["attention"] + weights["attention_bias"])))
        logits = normalize(expanded @ weights["assignment"], weights, "norm", training)
        frame, residuals = 0, []
        for video in videos:
            pooled = np.zeros_like(weights["centres"])
            for _ in video:
                for g in range(groups):
                    part = expanded[frame].reshape(groups, -1)[g]
                    z = logits[frame].reshape(groups, clusters)[g]
                    for k in range(clusters):
                        share = np.exp(z[k]) / np.exp(z).sum() * attention[frame, g]
                        pooled[:, k] += share * (part - weights["centres"][:, k])
                frame += 1
            residuals.append((pooled / np.linalg.norm(pooled, axis=0)).reshape(-1))
        return normalize(np.stack(residuals), weights, "pooled_norm", training)

    return pool


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize(("groups", "expansion"), [(4, 2), (1, 1), (6, 3)])
def test_it_follows_the_formulas_of_the_paper(
    with_random_weights: Callable,
    by_formulas: Callable,
    padded_videos: Callable,
    relative_error: Callable,
    groups: int,
    expansion: int,
    training: bool,
) -> None:
    layer = with_random_weights(NeXtVLAD(5, groups, expansion))
    # With larger logits some clusters get so little of the frames that their residuals are too short to normalize.
    layer.assignment.assign(0.1 * layer.assignment)
    expected = by_formulas(layer, training)
    assert relative_error(layer(*padded_videos(), training=training), expected) < 1e-5


def test_padding_does_not_change_the_moving_moments(
    with_random_weights: Callable, padded_videos: Callable, videos: list[np.ndarray]
) -> None:
    layer = with_random_weights(NeXtVLAD(5, 4))
    before = np.asarray(layer.norm.moving_mean)
    layer(*padded_videos(padding=3, filler=1e3), training=True)
    expanded = np.concatenate(videos) @ np.asarray(layer.expand) + np.asarray(layer.expand_bias)
    seen = expanded @ np.asarray(layer.assignment)
    np.testing.assert_allclose(layer.norm.moving_mean, 0.9 * before + 0.1 * seen.mean(axis=0), rtol=1e-4)


def test_initial_weights_have_the_deviations_of_the_code_of_the_paper() -> None:
    layer = NeXtVLAD(16, seed=0)
    layer.build((None, None, 128))
    rows = {"expand": 128, "attention": 256, "assignment": 256, "centres": 32}
    for name, count in rows.items():
        assert np.std(getattr(layer, name)) == pytest.approx((2 / count) ** 0.5, rel=0.06), name
    assert np.all(np.asarray(layer.expand_bias) == 0) and np.all(np.asarray(layer.attention_bias) == 0)


def test_groups_that_do_not_divide_the_features_are_refused() -> None:
    with pytest.raises(ValueError, match="groups is 5, allowed: divisors of 16"):
        NeXtVLAD(4, groups=5).build((None, None, 8))
