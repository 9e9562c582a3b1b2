"""Cost: parameters against Keras, FLOPs against the matrix products in TensorFlow's traced graph."""

from dataclasses import replace
from math import prod

import pytest
import tensorflow as tf

from models.cost import Cost, cost
from models.settings import ModelSettings
from models.video_classifier import build_video_classifier

CLASSES, FRAMES = 7, 11

ENCODERS = {
    "average": {"name": "average"},
    "transformer": {"name": "transformer", "heads": 2, "dense_units": 5, "layers": 2, "key_dim": 6},
    "dbof": {"name": "dbof", "clusters": 24},
    "dbof-options": {"name": "dbof", "clusters": 24, "batch_norm": True, "add_max": True},
    "netvlad": {"name": "netvlad", "clusters": 5},
    "netvlad-batch-norm": {"name": "netvlad", "clusters": 5, "batch_norm": True},
    "netfv": {"name": "netfv", "clusters": 5},
    "netfv-batch-norm": {"name": "netfv", "clusters": 5, "batch_norm": True},
    "nextvlad": {"name": "nextvlad", "clusters": 6, "groups": 4, "hidden_size": 20},
}
RECURRENT = {
    "lstm": {"name": "lstm", "layers": 2, "units": 6},
    "gru": {"name": "gru", "layers": 3, "units": 6},
}
HEADS = {
    "logistic": {},
    "two-stream": {"two_stream": True, "hidden_units": [9], "dropout": 0.5, "pooled_dropout": 0.5},
    "own-stacks": {"two_stream": True, "hidden_units": [9, 4], "hidden_units_audio": [3], "context_gating": True},
    "gated": {"hidden_units": [9], "context_gating": True, "gate_batch_norm": True, "gate_without_diagonal": True},
    "experts": {"two_stream": True, "experts": 3, "context_gating": True},
}


def settings_of(encoder, head):
    return ModelSettings.model_validate({"encoder": (ENCODERS | RECURRENT)[encoder]} | HEADS[head])


# Each encoder with one stream and with two, and the other classifiers where they matter.
MODELS = [
    *((encoder, head) for encoder in ENCODERS | RECURRENT for head in ("logistic", "own-stacks")),
    *((encoder, head) for encoder in ("average", "nextvlad") for head in ("two-stream", "gated", "experts")),
]


@pytest.mark.parametrize(("encoder", "head"), MODELS)
def test_costs_match_the_counts_of_keras_and_tensorflow(encoder, head):
    settings = settings_of(encoder, head)
    model = build_video_classifier(settings, CLASSES, seed=0)
    counted = cost(settings, CLASSES, FRAMES)
    assert counted.parameters == model.count_params()
    if encoder not in RECURRENT:
        small, large = (flops_of_the_graph(model, batch) for batch in (1, 2))
        assert counted.flops == large - small


def flops_of_the_graph(model, batch):
    """FLOPs of the matrix products for a batch of this size."""
    specs = {
        "mean": tf.TensorSpec((batch, 1152), tf.float32),
        "frames": tf.TensorSpec((batch, FRAMES, 1152), tf.uint8),
        "num_frames": tf.TensorSpec((batch,), tf.int32),
    }
    inputs = {name: specs[name] for name in model.input}
    graph = tf.function(lambda videos: model(videos)).get_concrete_function(inputs).graph
    return sum(map(matrix_flops, graph.get_operations()))


def matrix_flops(operation):
    """2 x multiply-adds of a node: the size of its output times the length of its sums."""
    if operation.type == "Einsum":
        terms = operation.get_attr("equation").decode().split("->")[0].split(",")
        sizes = {
            index: size
            for term, operand in zip(terms, operation.inputs, strict=True)
            for index, size in zip(term, operand.shape, strict=True)
        }
        return 2 * prod(sizes.values())
    transposed = {"MatMul": "transpose_a", "BatchMatMulV2": "adj_x"}.get(operation.type)
    if transposed is None:
        return 0
    rows, columns = operation.inputs[0].shape[-2:]
    return 2 * prod(operation.outputs[0].shape) * (rows if operation.get_attr(transposed) else columns)


def test_recurrent_layers_multiply_at_every_frame():
    # Each gate of a cell multiplies inputs (1152 from frames, else 6) and state (6) with 6 columns.
    classifier = 2 * 6 * CLASSES
    lstm = cost(settings_of("lstm", "logistic"), CLASSES, FRAMES)
    assert lstm.flops == 2 * FRAMES * 4 * 6 * ((1152 + 6) + (6 + 6)) + classifier
    gru = cost(settings_of("gru", "logistic"), CLASSES, FRAMES)
    assert gru.flops == 2 * FRAMES * 3 * 6 * ((1152 + 6) + 2 * (6 + 6)) + classifier


def test_the_number_of_frames_does_not_matter_to_a_model_of_means():
    settings = settings_of("average", "gated")
    assert cost(settings, CLASSES, 1) == cost(settings, CLASSES, 300) == cost(settings, CLASSES)


def test_an_ensemble_has_no_cost_of_its_own():
    assert cost(ModelSettings.model_validate({"encoder": {"name": "ensemble"}}), CLASSES) is None


def test_costs_add_up():
    assert Cost(1, 2) + Cost(3, 4) * 2 == Cost(7, 10) == replace(Cost(7), flops=10)
