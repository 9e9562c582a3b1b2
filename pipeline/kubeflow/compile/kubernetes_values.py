"""Types of settings that Kubernetes parses: names, labels and quantities, each refused with what is allowed.

Kubernetes would refuse the pod of a step, after a run has begun; Kubeflow Pipelines does not retry that.
"""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"

_QUANTITY = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(?:([numkMGTPE]|[KMGTPE]i)?|[eE]([+-]?[0-9]{1,2}))")
_FACTORS: dict[str | None, Decimal] = {
    None: Decimal(1),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("n", "u", "m"), -3)},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", 1)},
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}
_LARGEST = 2**63 - 1


def parse_quantity(text: str) -> Decimal | None:
    """The value of a quantity of Kubernetes, such as 500m, 1.5Gi or 2e3; None if it is none, or not above zero."""
    if len(text) > 64 or not (parsed := _QUANTITY.fullmatch(text)):
        return None
    number, suffix, exponent = parsed.groups()
    value = Decimal(number) * (Decimal(10) ** int(exponent) if exponent else _FACTORS[suffix])
    return value if 0 < value <= _LARGEST else None


def is_claim(name: str) -> bool:
    """Whether a claim of this name can be mounted."""
    return len(name) <= 63 and bool(re.fullmatch(_LABEL, name))


def _refusal(allowed: str) -> PydanticCustomError:
    return PydanticCustomError("not_allowed", f"allowed: {allowed}")


def _quantity(text: str) -> str:
    if parse_quantity(text) is None:
        raise _refusal("a number above zero, with a suffix such as m, k, M, G, Ki, Mi, Gi or without, say 500m or 8Gi")
    return text


def _matching(pattern: str, length: int, allowed: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if len(text) > length or not compiled.fullmatch(text):
            raise _refusal(allowed)
        return text

    return AfterValidator(check)


Quantity = Annotated[str, Field(coerce_numbers_to_str=True), AfterValidator(_quantity)]

# A volume is named after its claim, and a volume's name may have no dots.
CLAIM_ALLOWED = "at most 63 lowercase letters, digits and -, which is neither first nor last"
Claim = Annotated[str, _matching(_LABEL, 63, CLAIM_ALLOWED)]
ObjectName = Annotated[
    str,
    _matching(
        _SUBDOMAIN,
        253,
        "at most 253 lowercase letters, digits, - and ., with a letter or digit on both sides of each .",
    ),
]
SecretKey = Annotated[
    str, _matching(r"(?!\.$|\.\.)[-._A-Za-z0-9]+", 253, "at most 253 letters, digits, -, _ and .; a key of the secret")
]
Variable = Annotated[str, _matching("[A-Za-z_][A-Za-z0-9_]*", 1000, "letters, digits and _, with no digit first")]

_VALUE = "at most 63 letters, digits, -, _ and ., with a letter or digit first and last"
LabelValue = Annotated[str, _matching(f"({_NAME})?", 63, f"{_VALUE}; or nothing")]
_LABEL_NAME = rf"((?=[^/]{{1,253}}/){_SUBDOMAIN}/)?{_NAME}"
_LABEL_NAME_ALLOWED = f"{_VALUE}; before it a domain and /, or nothing"
LabelName = Annotated[str, _matching(_LABEL_NAME, 317, _LABEL_NAME_ALLOWED)]
LabelNameOrNone = Annotated[str, _matching(f"({_LABEL_NAME})?", 317, _LABEL_NAME_ALLOWED)]
Resource = Annotated[
    str, _matching(rf"(?=[^/]{{1,253}}/){_SUBDOMAIN}/{_NAME}", 317, "a domain, / and a name, say nvidia.com/gpu")
]

Folder = Annotated[str, _matching(r"(/[^/\s:]+)+", 4096, "an absolute path without spaces and :, say /mnt/data")]
