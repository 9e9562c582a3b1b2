"""What the benchmark of training steps makes of its measurements and options."""

import argparse

import pytest
import step
from step import StepCost, peaks, settings
from step_worker import Setting

from models.cost import cost
from models.features import YT8M_CLASSES

SETTING = Setting("netvlad-100", "tf32", xla=True, batch=128)


def test_a_step_gives_teraflops_share_of_the_peak_and_videos_a_second():
    measured = StepCost.of(SETTING, [0.5, 0.25, 1.0], peak=10.0, delivered={False: 512.0, True: 9e9})
    forward = cost(SETTING.recipe.model, YT8M_CLASSES, frames=300).flops
    assert measured.needed == 128 / 0.5
    assert measured.tflops == pytest.approx(3 * forward * 256 / 1e12)
    assert measured.share == pytest.approx(measured.tflops / 10)
    assert measured.row == [
        "netvlad-100", "tf32", "yes", "128", "500.0 (250.0-1000.0)", f"{measured.tflops:.3g}", f"{measured.share:.1%}",
        "256", "512",
    ]  # fmt: skip


def test_what_is_unknown_stays_empty():
    assert StepCost.of(SETTING, [0.5], peak=None, delivered={}).row[-3:] == ["", "256", ""]


@pytest.mark.parametrize(
    ("gpu", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", {"float32": 66.9, "tf32": 494.7, "bfloat16": 989.4}),
        ("NVIDIA A100-SXM4-40GB", {"float32": 19.5, "tf32": 156.0, "bfloat16": 312.0}),
        ("NVIDIA L40S", {}),
        ("Tesla T4", {"float32": 8.1}),
        ("", {}),
    ],
)
def test_the_peak_is_that_of_the_device(gpu, peak):
    assert peaks(gpu, ["float32"], None) == peak


def test_a_given_peak_replaces_that_of_the_device():
    assert peaks("NVIDIA A100", ["tf32", "float32"], [1.0, 2.0]) == {"tf32": 1.0, "float32": 2.0}


def options(**values):
    defaults = {"experiments": ["netvlad-100", "lstm-2x1024"], "precisions": None, "xla": None, "batch": None}
    return argparse.Namespace(**{**defaults, **values})


def test_a_gpu_takes_all_settings_but_xla_for_recurrent_encoders():
    found = list(settings(options(), gpu=True))
    assert [(one.precision, one.xla) for one in found if one.experiment == "netvlad-100"] == [
        (precision, xla) for precision in ("float32", "tf32", "bfloat16") for xla in (False, True)
    ]
    assert not any(one.xla for one in found if one.experiment == "lstm-2x1024")
    assert {one.batch for one in found} == {128}


def test_a_cpu_takes_small_batches_in_float32():
    found = list(settings(options(), gpu=False))
    assert [(one.precision, one.xla, one.batch) for one in found] == 2 * [("float32", False, 8)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--experiments", "netvlad-1000"], "argument --experiments: experiment is 'netvlad-1000', allowed: "),
        (["--experiments", "ensemble"], "ensemble has no layers that are trained"),
        (["--peak-tflops", "1", "2"], "argument --peak-tflops: expected as many numbers as --precisions has names"),
        (["--precisions", "int8"], "invalid choice: 'int8' (choose from 'float32', 'tf32', 'bfloat16')"),
        (["--input", "nowhere.json"], "argument --input: nowhere.json is not a file"),
        (["--batch", "x"], "argument --batch: 'x', expected a whole number above 0"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(words, message, capsys):
    with pytest.raises(SystemExit):
        step.main(words)
    assert message in capsys.readouterr().err.splitlines()[-1]
