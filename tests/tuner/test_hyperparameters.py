"""Spaces as KerasTuner's hyperparameters and back, and mistakes in a `tune` block."""

import re

import keras_tuner
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.settings import ModelSettings
from models.training_settings import TrainingSettings
from tuner.hyperparameters import active_values, hyperparameters, with_values
from tuner.settings import TuneSettings
from tuner.space import extreme_values, search_space

GATED = {
    "model.context_gating": {"type": "choice", "values": [False, True]},
    "model.gate_batch_norm": {"type": "choice", "values": [False, True], "when": {"model.context_gating": [True]}},
    "model.hidden_units": {"type": "choice", "values": [[], [64], [64, 32]]},
}


def space(**content):
    return TuneSettings.model_validate({"space": content}).space


parameters = st.one_of(
    st.builds(
        lambda low, more, log: {"type": "int", "min": low, "max": low + more, "log": log},
        st.integers(1, 50), st.integers(1, 50), st.booleans(),
    ),
    st.builds(
        lambda low, more, log: {"type": "float", "min": low, "max": low + more, "log": log},
        st.floats(1e-6, 1), st.floats(1e-3, 10), st.booleans(),
    ),
    st.builds(
        lambda values: {"type": "choice", "values": values},
        st.one_of(
            st.lists(st.integers(-9, 9), min_size=1, max_size=4, unique=True),
            st.lists(st.text("abc", min_size=1), min_size=1, max_size=4, unique=True),
            st.lists(st.lists(st.integers(1, 9), max_size=3), min_size=1, max_size=4, unique_by=tuple),
        ),
    ),
)  # fmt: skip


@given(content=st.dictionaries(st.sampled_from("abcdef"), parameters, min_size=1), seed=st.integers(0, 99))
def test_values_drawn_after_a_round_trip_through_json_are_in_the_space(content, seed):
    parsed = space(**content)
    declared = keras_tuner.HyperParameters.from_config(hyperparameters(parsed).get_config())
    declared.values = {parameter.name: parameter.random_sample(seed) for parameter in declared.space}
    values = active_values(declared)
    assert values.keys() == parsed.keys()
    for name, value in values.items():
        if content[name]["type"] == "choice":
            assert value in content[name]["values"] and type(value) is type(content[name]["values"][0])
        else:
            assert content[name]["min"] <= value <= content[name]["max"] * (1 + 1e-9)


def test_values_whose_conditions_do_not_hold_are_left_out():
    declared = hyperparameters(space(**GATED))
    values = {"model.context_gating": False, "model.gate_batch_norm": True, "model.hidden_units": "[64, 32]"}
    declared.values = values
    assert active_values(declared) == {"model.context_gating": False, "model.hidden_units": [64, 32]}
    declared.values = values | {"model.context_gating": True}
    model, _ = with_values(ModelSettings(encoder={"name": "average"}), TrainingSettings(), active_values(declared))
    assert model.gate_batch_norm and model.hidden_units == (64, 32)


def test_each_extreme_comes_with_its_conditions():
    checked = list(extreme_values(space(**GATED)))
    assert ("model.gate_batch_norm", {"model.context_gating": True, "model.gate_batch_norm": False}) in checked
    assert len(checked) == 2 + 2 + 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": {"type": "int", "min": 3, "max": 3}}, "min is 3 and max 3, expected min < max"),
        ({"a": {"type": "float", "min": 0, "max": 1, "log": True}}, "min is 0.0, with log: true allowed: above 0"),
        ({"a": {"type": "int", "min": 1, "max": 9, "log": True, "step": 2}}, "log and step are mutually exclusive"),
        ({"a": {"type": "choice", "values": []}}, "at least 1 item"),
        ({"a": {"type": "chioce", "values": [1]}}, "expected tags: 'choice', 'int', 'float'"),
        ({"a": {"type": "choice", "values": [1], "when": {"b": [1]}}}, "a.when is 'b', allowed: parameters of type"),
        (
            {"a": {"type": "choice", "values": [1]}, "b": {"type": "choice", "values": [1], "when": {"a": [2]}}},
            "b.when.a is [2], allowed: some of [1]",
        ),
    ],
)
def test_a_wrong_space_is_refused_with_what_is_allowed(content, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        space(**content)


def test_the_space_is_that_of_the_encoder_unless_the_experiment_has_one():
    model = ModelSettings(encoder={"name": "netvlad", "clusters": 8})
    assert next(iter(search_space(TuneSettings(), model))) == "model.encoder.clusters"
    assert list(search_space(TuneSettings.model_validate({"space": GATED}), model)) == list(GATED)
    assert not search_space(TuneSettings(), ModelSettings(encoder={"name": "ensemble"}))
