"""Shared fixtures: records and shards in the wire format of YouTube-8M, a finished run, and scores by definition."""

import gc
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

# Read when NumPy is imported. xdist has a worker for each core: with more threads, they busy-wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

import components  # noqa: F401  (before TFX, of which it leaves a part out)

# TensorFlow and jsonschema import these if they are there, as only here: two seconds of CPU time. JAX is tested in a
# process of its own.
sys.modules.update(dict.fromkeys(("jax", "rfc3987_syntax")))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TFX_ANALYTICS"] = "0"

if TYPE_CHECKING:  # xdist's controller, which runs no tests, does without
    import tensorflow as tf

# The time of an example depends more on the machine than on the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts slow test files first, so that short ones keep all workers of xdist busy to the end."""
    items.sort(key=lambda item: not {"integration", "kubeflow", "tuner", "docs"} & set(item.path.parts))


def pytest_collection_finish() -> None:
    """Exempts the million objects of imports from later garbage collections, which saves a sixth of the CPU time."""
    if "apache_beam" in sys.modules:
        _memoize_beam()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)  # 700 objects are soon there


def _memoize_beam() -> None:
    """Keeps what Beam computes again for every transform, a fifth of a run's CPU time: options and signatures."""
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.transforms import core

    view_as, get_signature = PipelineOptions.view_as, core.get_signature
    views: WeakKeyDictionary[PipelineOptions, dict[type, PipelineOptions]] = WeakKeyDictionary()

    def kept_view(options: PipelineOptions, kind: type) -> PipelineOptions:
        of_options = views.setdefault(options, {})  # all views share the values
        if kind not in of_options:
            of_options[kind] = view_as(options, kind)
        return of_options[kind]

    @lru_cache(4096)
    def of_method(function: Callable[..., object]) -> Any:
        return get_signature(MethodType(function, object()))  # the same for every instance

    PipelineOptions.view_as = kept_view
    core.get_signature = lambda f: of_method(f.__func__) if isinstance(f, MethodType) else get_signature(f)


@pytest.fixture(scope="session", autouse=True)
def hidden_options() -> Iterator[None]:
    """Hides pytest's options from TFX, which parses `sys.argv` for every executor and would fail at `-v`."""
    options, sys.argv = sys.argv, sys.argv[:1]
    yield
    sys.argv = options


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """`(name, build)` -> a folder filled by `build(folder)`, once per test session, not once per xdist worker."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root

    def built(name: str, build: Callable[[Path], object]) -> Path:
        folder, complete = root / name, root / f"{name}.complete"
        with FileLock(root / f"{name}.lock"):
            if not complete.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                build(folder)
                complete.touch()
        return folder

    return built


def _yt8m(*arguments: object) -> None:
    from pipeline.cli import yt8m

    yt8m.main([str(argument) for argument in arguments], standalone_mode=False)


def _synthesize(level: str) -> Callable[[Path], None]:
    return lambda folder: _yt8m("synth", "--level", level, "--videos", 120, "--labels", 7, folder / level)


@pytest.fixture(scope="session")
def frames(once: Callable[..., Path]) -> Path:
    """A synthetic data set of 120 frame-level videos with seven labels, and its vocabulary."""
    return once("synthetic-frames", _synthesize("frame")) / "frame"


@pytest.fixture(scope="session")
def means(once: Callable[..., Path]) -> Path:
    """The same videos at the video level."""
    return once("synthetic-means", _synthesize("video")) / "video"


@dataclass(frozen=True)
class FinishedRun:
    """The output of `yt8m run --experiment netvlad-8` on `frames`.

    Attributes:
        folder: Its `--out`. Read only, except in tests/integration/test_run.py.
        scores: Its scores.json, as first written.
        arguments: Its `--set` options.
    """

    folder: Path
    scores: dict[str, Any]
    arguments: list[str]


_SMALL = (
    "training.max_epochs=4",
    "training.batch_size=8",
    "model.encoder.clusters=4",
    "model.hidden_units=[16]",
    "evaluation.floor=false",  # twelve test videos are too few to tell
)


@pytest.fixture(scope="session")
def finished_run(once: Callable[..., Path], frames: Path) -> FinishedRun:
    arguments = [word for setting in _SMALL for word in ("--set", setting)]

    def build(folder: Path) -> None:
        out = folder / "run"
        _yt8m("run", "--data", frames, "--experiment", "netvlad-8", "--out", out, *arguments)
        shutil.copy(out / "scores.json", folder)

    folder = once("finished-run", build)
    return FinishedRun(folder / "run", json.loads((folder / "scores.json").read_text()), arguments)


def _bytes(*values: bytes) -> "tf.train.Feature":
    import tensorflow as tf

    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _ints(values: Sequence[int]) -> "tf.train.Feature":
    import tensorflow as tf

    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _floats(values: Sequence[float]) -> "tf.train.Feature":
    import tensorflow as tf

    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


@pytest.fixture(scope="session")
def frame_record() -> Callable[..., bytes]:
    """Serialized frame-level record; pass rgb=None or audio=None to leave a stream out.

    Further arguments are additional features of its context: lists of whole numbers or floats.
    """
    import tensorflow as tf

    def build(
        video_id: str = "aaaa",
        labels: Sequence[int] | None = (0,),
        frames: int = 3,
        rgb: np.ndarray | str | None = "random",
        audio: np.ndarray | str | None = "random",
        id_key: str = "id",
        **own: Sequence[int] | Sequence[float],
    ) -> bytes:
        generator = np.random.default_rng(frames)
        context = {id_key: _bytes(video_id.encode())}
        for name, values in own.items():
            context[name] = (_floats if any(isinstance(value, float) for value in values) else _ints)(values)
        if labels is not None:
            context["labels"] = _ints(labels)
        lists = {}
        for name, width, codes in (("rgb", 1024, rgb), ("audio", 128, audio)):
            if codes is None:
                continue
            if isinstance(codes, str):
                codes = generator.integers(0, 256, (frames, width), np.uint8)
            lists[name] = tf.train.FeatureList(feature=[_bytes(frame.tobytes()) for frame in codes])
        return tf.train.SequenceExample(
            context=tf.train.Features(feature=context), feature_lists=tf.train.FeatureLists(feature_list=lists)
        ).SerializeToString()

    return build


@pytest.fixture(scope="session")
def video_record() -> Callable[..., bytes]:
    """Serialized video-level record; further arguments are additional features."""
    import tensorflow as tf

    def build(
        video_id: str = "aaaa",
        labels: Sequence[int] | None = (0,),
        mean_rgb: np.ndarray | str | None = "random",
        mean_audio: np.ndarray | str | None = "random",
        **own: bytes | int | float,
    ) -> bytes:
        generator = np.random.default_rng(sum(video_id.encode()))
        make = {bytes: _bytes, int: lambda value: _ints([value]), float: lambda value: _floats([value])}
        features = {"id": _bytes(video_id.encode())} | {name: make[type(value)](value) for name, value in own.items()}
        if labels is not None:
            features["labels"] = _ints(labels)
        for name, width, values in (("mean_rgb", 1024, mean_rgb), ("mean_audio", 128, mean_audio)):
            if values is None:
                continue
            features[name] = _floats(generator.uniform(-2, 2, width) if isinstance(values, str) else values)
        # The published records are SequenceExamples whose second field is present and empty.
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString() + b"\x12\x00"

    return build


@pytest.fixture(scope="session")
def write_shard() -> Callable[[Path, Sequence[bytes]], Path]:
    """Writes records with TensorFlow's own writer."""
    import tensorflow as tf

    def write(path: Path, records: Sequence[bytes]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records:
                writer.write(record)
        return path

    return write


@pytest.fixture
def real_data() -> Path:
    """Real YouTube-8M shards: $YT8M_DATA, else shared/data beside the checkout."""
    folder = Path(os.environ.get("YT8M_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real YouTube-8M shards in {folder} (set YT8M_DATA)")
    return folder


def average_precision_sum(scores: np.ndarray, hits: np.ndarray) -> float:
    """Sum of precisions at hits, with all orders of equal scores equally likely."""
    total = seen = hits_before = 0.0
    for _, group in groupby(sorted(zip(scores.tolist(), hits.tolist(), strict=True), reverse=True), lambda e: e[0]):
        right = [hit for _, hit in group]
        n, h = len(right), sum(right)
        for place in range(n):
            if h:
                others = place * (h - 1) / (n - 1) if n > 1 else 0
                total += h / n * (hits_before + 1 + others) / (seen + place + 1)
        seen, hits_before = seen + n, hits_before + h
    return total


@pytest.fixture(scope="session")
def sum_of_precisions() -> Callable[[np.ndarray, np.ndarray], float]:
    return average_precision_sum


def by_definition(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """All scores by their definitions, from full sorts without bins."""
    p, y = probabilities.astype(np.float64), labels > 0
    chosen = p > 0.5
    tp, predicted, actual = (chosen & y).sum(0), chosen.sum(0), y.sum(0)

    def ratio(a: float, b: float) -> float:
        return a / b if b else 0.0

    order = np.argsort(-p, axis=1, kind="stable")
    top = order[:, :20]
    top_p, top_y = np.take_along_axis(p, top, 1), np.take_along_axis(y, top, 1)
    aps = []
    for c in range(p.shape[1]):
        mine = top == c
        aps.append(ratio(average_precision_sum(top_p[mine], top_y[mine]), actual[c]))
    occurs = actual > 0
    perr = [y[v, order[v, : y[v].sum()]].mean() if y[v].any() else 0.0 for v in range(len(y))]
    bins = np.clip(np.ceil(p * 20).astype(int) - 1, 0, 19)
    return {
        "f1": ratio(2 * tp.sum(), predicted.sum() + actual.sum()),
        "precision": ratio(tp.sum(), predicted.sum()),
        "recall": ratio(tp.sum(), actual.sum()),
        "macro_f1": np.mean([ratio(2 * t, q + a) for t, q, a in zip(tp, predicted, actual, strict=True) if a]),
        "macro_precision": np.mean([ratio(t, q) for t, q, a in zip(tp, predicted, actual, strict=True) if a]),
        "macro_recall": np.mean([ratio(t, a) for t, a in zip(tp, actual, strict=True) if a]),
        "gap": ratio(average_precision_sum(top_p.ravel(), top_y.ravel()), actual.sum()),
        "map": np.array(aps)[occurs].mean(),
        "map_official": np.mean(aps),
        "perr": np.mean(perr),
        "hit_at_1": y[np.arange(len(y)), order[:, 0]].mean(),
        "ece": sum(abs((y[bins == b] - p[bins == b]).sum()) for b in range(20)) / p.size,
    }


@pytest.fixture(scope="session")
def scores_by_definition() -> Callable[[np.ndarray, np.ndarray], dict[str, float]]:
    return by_definition
