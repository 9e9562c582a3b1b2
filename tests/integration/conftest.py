"""A pushed model, called by a process with nothing but TensorFlow.

Tests of whole runs whose code other tests measure are marked `no_cover`: coverage slows TFX and Beam by a third.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLAIN_TENSORFLOW = """
import json, sys
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
answers = []
for shard in sys.argv[2:]:
    answer = model.signatures["serving_default"](examples=tf.stack(list(tf.data.TFRecordDataset(shard).take(3))))
    answers.append({"labels": [[name.decode() for name in row] for row in answer["labels"].numpy()],
                    "scores": answer["scores"].numpy().tolist(), "indices": answer["indices"].numpy().tolist()})
print(json.dumps({"answers": answers, "modules": list(sys.modules)}))
"""


@pytest.fixture(scope="session")
def ask() -> Callable[..., dict[str, Any]]:
    """`(model, *shards)` -> `answers` to the first three raw records of each shard, and the imported `modules`.

    The code `first` runs before; its output is in `printed`.
    """

    def run(model: Path, *shards: Path, first: str = "", cwd: Path | None = None) -> dict[str, Any]:
        command = [sys.executable, "-c", first + PLAIN_TENSORFLOW, str(model), *map(str, shards)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
        assert done.returncode == 0, done.stderr
        *printed, last = done.stdout.splitlines()
        return json.loads(last) | {"printed": printed}

    return run
