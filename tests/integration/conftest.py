"""A pushed model, asked as a stranger would."""

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
    """`(model, *shards)` -> `answers` to the first three raw records of each shard, and the `modules` that it took.

    In a process that has TensorFlow and nothing else; it runs `first`, and gives what that printed as `printed`.
    """

    def run(model: Path, *shards: Path, first: str = "", cwd: Path | None = None) -> dict[str, Any]:
        command = [sys.executable, "-c", first + PLAIN_TENSORFLOW, str(model), *map(str, shards)]
        found = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
        assert found.returncode == 0, found.stderr
        *printed, last = found.stdout.splitlines()
        return json.loads(last) | {"printed": printed}

    return run
