"""Values that Kubernetes parses: accepted where it accepts them, by its own client and by its rules."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kubernetes.utils import parse_quantity as parse_as_kubernetes
from pydantic import TypeAdapter, ValidationError

from kfp_emulator.kubernetes_rules import refusals
from pipeline.kubeflow.compile import kubernetes_values
from pipeline.kubeflow.compile.kubernetes_values import parse_quantity
from pipeline.kubeflow.compile.settings import is_pinned

NUMBERS = st.from_regex(r"\A([0-9]{1,9}\.?[0-9]{0,9}|\.[0-9]{1,9})\Z")
SUFFIXES = st.sampled_from(["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"])
EXPONENTS = st.builds("{}{}".format, st.sampled_from(["e", "E", "e+", "e-", "E-"]), st.integers(0, 12))


@given(NUMBERS, SUFFIXES | EXPONENTS)
def test_a_quantity_has_the_value_that_kubernetes_reads(number, suffix):
    value = parse_quantity(number + suffix)
    expected = parse_as_kubernetes(number + suffix)
    assert value == (expected if 0 < expected < 2**63 else None)


@given(st.text("0123456789.eE+-KiMmGnuk _", max_size=8) | st.text(max_size=4))
@example("1_000")
@example("1 ")
@example("1\n")
@example("\u0661")
@example("1ki")
@example("1K")
@example("1e")
@example(".")
def test_what_is_no_quantity_is_refused(text):
    value = parse_quantity(text)
    if value is None:
        return
    assert parse_as_kubernetes(text) == value and text.isascii()
    assert not [*refusals({}, {"resources": {"resourceCpuLimit": text}})]


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-1", "+1", "0", "0Gi", "", "Gi", "1Kii", "1e999", "9e99", "1" * 99]
)
def test_no_quantity_is_nothing_below_zero_or_beyond_64_bits(text):
    assert parse_quantity(text) is None


# Types of names, with a pod that holds one.
NAMES = {
    "Claim": lambda name: {"pvcMount": [{"constant": name, "mountPath": "/mnt"}]},
    "ObjectName": lambda name: {"secretAsEnv": [{"secretName": name}]},
    "SecretKey": lambda key: {"secretAsEnv": [{"secretName": "a", "keyToEnv": [{"envVar": "A", "secretKey": key}]}]},
    "Variable": lambda name: {"secretAsEnv": [{"secretName": "a", "keyToEnv": [{"envVar": name, "secretKey": "a"}]}]},
    "LabelName": lambda name: {"podMetadata": {"labels": {name: ""}}},
    "LabelValue": lambda value: {"nodeSelector": {"labels": {"a": value}}},
    "LabelNameOrNone": lambda key: {"tolerations": [{"key": key, "operator": "Exists"}]},
}
STRICTER = {"Variable": "shells read only these"}


@pytest.mark.parametrize("kind", NAMES)
@given(
    name=st.text("aA0-._/", max_size=8)
    | st.text(max_size=3)
    | st.builds(lambda text, times: text * times, st.sampled_from(["a", "a.", "a/", "-"]), st.integers(60, 320))
)
def test_a_name_is_allowed_where_kubernetes_allows_it(kind, name):
    try:
        TypeAdapter(getattr(kubernetes_values, kind)).validate_python(name)
        allowed = True
    except ValidationError:
        allowed = False
    refused = [*refusals(NAMES[kind](name), {})]
    assert not (allowed and refused)
    assert allowed or refused or kind in STRICTER


@given(name=st.text("aA0-._/:@", max_size=8), pin=st.sampled_from(["", ":1", ":latest", "@sha256:" + "0" * 64]))
def test_an_image_is_pinned_where_the_kubelet_can_pull_it_and_it_cannot_move(name, pin):
    refused = [*refusals({}, {"image": name + pin})]
    assert not (is_pinned(name + pin) and refused)
    if pin not in ("", ":latest"):
        assert is_pinned(name + pin) or refused
