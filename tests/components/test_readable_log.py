"""The log has our lines and every warning and error, but no banners and no progress of libraries."""

import logging
import subprocess
import sys

import pytest

from components.readable_log import log_to_stderr

# Lines of TensorFlow 2.21 on a machine without GPU, and of one with a broken driver.
BANNERS = [
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1796042181.540909   11131 port.cc:153] oneDNN custom operations are on.",
    "I0000 00:00:1796042181.541719   11131 cudart_stub.cc:31] Could not find cuda drivers on your machine",
    "To enable the following instructions: AVX2 AVX512F FMA, in other operations, rebuild TensorFlow",
]
ERRORS = [
    "E0000 00:00:1796042221.906380   11131 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error",
    "W0000 00:00:1796042221.906380   11131 gpu_device.cc:2344] Cannot dlopen some GPU libraries.",
    "F0000 00:00:1796042221.906380   11131 cpu_feature_guard.cc:161] The TensorFlow library was compiled to use AVX",
    "Traceback (most recent call last):",
]


@pytest.mark.parametrize(("end", "code"), [("pass", 0), ("os.abort()", -6), ("os._exit(3)", 3), ("1 / 0", 1)])
def test_errors_pass_even_if_the_import_crashes(end, code):
    script = f"""
import os
from components.readable_log import _banners_left_out
with _banners_left_out():
    for line in {[line for pair in zip(BANNERS, ERRORS, strict=True) for line in pair]}:
        os.write(2, line.encode() + b"\\n")
    {end}
os.write(2, b"after\\n")
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    lines = answer.stderr.splitlines()
    assert answer.returncode == code
    assert lines[: len(ERRORS)] == ERRORS
    assert ("after" in lines) == (end == "pass") and not set(BANNERS) & set(lines)


@pytest.fixture
def log(capsys):
    """Logs a line; returns whether it is shown."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    log_to_stderr()

    def shown(name, level, text):
        logging.getLogger(name).log(level, text)
        return text in capsys.readouterr().err

    yield shown
    root.handlers, root.level = handlers, level


@pytest.mark.parametrize(
    ("name", "level", "text", "expected"),
    [
        ("models.training.loop", logging.INFO, "epoch 1: loss 0.5", True),
        ("pipeline.kubeflow.container.step", logging.INFO, "input model: s3://a/b", True),
        ("apache_beam.typehints.native_type_compatibility", logging.INFO, "Using Any for unsupported type", False),
        ("tensorflow", logging.INFO, "tensorflow_text is not available.", False),
        ("absl", logging.INFO, "Excluding no splits because exclude_splits is not set.", False),
        ("absl", logging.WARNING, "ArtifactQuery.property_predicate is not supported.", False),
        ("absl", logging.WARNING, "no evaluation results", True),
        ("tensorflow", logging.WARNING, "From a.py:1: f (from b) is deprecated and will be removed in 3.", False),
        ("tensorflow", logging.ERROR, "From a.py:1: f (from b) is deprecated and will be removed in 3.", True),
        ("tensorflow", logging.WARNING, "Your input ran out of data", True),
        ("apache_beam", logging.WARNING, "worker failed", True),
        ("anything", logging.ERROR, "failed", True),
    ],
)
def test_lines_of_libraries_are_shown_from_warnings_on(log, name, level, text, expected):
    assert log(name, level, text) is expected
