"""Keras on JAX, as a script: each line of its input is a request, each line of its output an answer.

A request names a function of this file, its arguments, and files for arrays; an answer is null or a traceback.
"""

import importlib
import json
import os
import sys
import traceback
from typing import Any

import jax
import keras
import numpy as np

import models.video_classifier  # noqa: F401  registers the layers of saved models
from models.encoders.average import mean_of_frames
from models.layers.quantization import dequantize

Arrays = dict[str, Any]


def call_layer(arrays: Arrays, layer: dict[str, Any], inputs: int, calls: list[dict[str, Any]]) -> Arrays:
    """Outputs of a compiled layer for the same inputs, one for each call's keyword arguments."""
    importlib.import_module(layer["module"])
    values = [arrays[f"input{i}"] for i in range(inputs)]
    built = keras.saving.deserialize_keras_object(layer)
    built(*[keras.Input(batch_shape=value.shape, dtype=value.dtype.name) for value in values])
    built.set_weights([arrays[f"weight{i}"] for i in range(len(built.weights))])
    state = [[weight.value for weight in part] for part in (built.trainable_variables, built.non_trainable_variables)]

    def run(arguments: dict[str, Any]) -> Any:
        return jax.jit(lambda *inputs: built.stateless_call(*state, *inputs, **arguments)[0])(*values)

    return {f"output{i}": run(arguments) for i, arguments in enumerate(calls)}


def call_model(arrays: Arrays, path: str) -> Arrays:
    """Probabilities of a saved model, and the values of frames that are computed outside of models."""
    return {
        "probabilities": keras.saving.load_model(path).predict_on_batch(arrays),
        "values": dequantize(arrays["frames"]),
        "mean": mean_of_frames(**arrays),
    }


def answer(request: dict[str, Any]) -> None:
    function = {"call_layer": call_layer, "call_model": call_model}[request["function"]]
    with np.load(request["inputs"]) as arrays:
        np.savez(request["results"], **function(dict(arrays), **request["arguments"]))


if __name__ == "__main__":
    assert keras.backend.backend() == "jax"
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # other output must not reach the answers
    for line in sys.stdin:
        error = None
        try:
            answer(json.loads(line))
        except Exception:
            error = traceback.format_exc()
        print(json.dumps(error), file=answers, flush=True)
