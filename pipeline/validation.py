"""What pydantic found wrong, as one line that names the key, the value and what is allowed."""

from pydantic import ValidationError


def explain(error: ValidationError) -> str:
    """One line for the first of the errors, with the number of the others."""
    first, *others = error.errors(include_url=False, include_context=False)
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        text = f"{key} is no setting"
    elif first["type"] == "missing":
        text = f"{key} is missing"
    else:
        text = f"{key} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"
    return text + (f" (and {len(others)} more)" if others else "")
