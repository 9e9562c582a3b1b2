"""Keras on JAX, as a script: calls what each line of its input asks for, and answers with a line of its output.

Requests name a function of this file, its arguments, and files for its arrays; answers are null or a traceback.
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

import models.video_classifier  # noqa: F401  registers what a saved model is made of
from models.encoders.average import mean_of_frames
from models.layers.quantization import dequantize

Arrays = dict[str, Any]


def call_layer(given: Arrays, layer: dict[str, Any], inputs: int, calls: list[dict[str, Any]]) -> Arrays:
    """Outputs of a layer, compiled, of the same inputs: one for each call's keyword arguments."""
    importlib.import_module(layer["module"])
    arrays = [given[f"input{i}"] for i in range(inputs)]
    built = keras.saving.deserialize_keras_object(layer)
    built(*[keras.Input(batch_shape=array.shape, dtype=array.dtype.name) for array in arrays])
    built.set_weights([given[f"weight{i}"] for i in range(len(built.weights))])
    state = [[weight.value for weight in part] for part in (built.trainable_variables, built.non_trainable_variables)]

    def run(arguments: dict[str, Any]) -> Any:
        return jax.jit(lambda *inputs: built.stateless_call(*state, *inputs, **arguments)[0])(*arrays)

    return {f"output{i}": run(arguments) for i, arguments in enumerate(calls)}


def call_model(given: Arrays, path: str) -> Arrays:
    """Probabilities of a saved model, and what is computed of frames outside of models."""
    return {
        "probabilities": keras.saving.load_model(path).predict_on_batch(given),
        "values": dequantize(given["frames"]),
        "mean": mean_of_frames(**given),
    }


def answer(request: dict[str, Any]) -> None:
    function = {"call_layer": call_layer, "call_model": call_model}[request["function"]]
    with np.load(request["given"]) as given:
        np.savez(request["results"], **function(dict(given), **request["arguments"]))


if __name__ == "__main__":
    assert keras.backend.backend() == "jax"
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what else is printed is no answer
    for line in sys.stdin:
        error = None
        try:
            answer(json.loads(line))
        except Exception:
            error = traceback.format_exc()
        print(json.dumps(error), file=answers, flush=True)
