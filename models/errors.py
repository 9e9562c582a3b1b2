"""The exception for mistakes that a user can correct, and how messages show values and counts."""

from typing import Any

# Characters of a value that a message shows: a user's list or text can have any length.
LONGEST_VALUE = 80


class InputError(ValueError):
    """Bad data or a bad setting: one line that names the file, record, key or option, the value and what is allowed.

    The command line prints the message without a stack trace and exits with code 2.
    """


def quote(value: Any) -> str:
    """A value as Python writes it, on one line, shortened.

    Example:
        >>> quote("a name")
        "'a name'"
    """
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # JSON nested thousands deep, or a number of more than 4300 digits
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def reason(error: BaseException) -> str:
    """The message of an exception of a library, on one line; its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def printable(value: Any) -> str:
    r"""A value without quotes if it is short text on one line, as most names from users are; else as `quote` shows it.

    Example:
        >>> printable("a name"), printable("two\nlines")
        ('a name', "'two\\nlines'")
    """
    text = str(value)
    return text if text and text.isprintable() and len(text) <= 2 * LONGEST_VALUE else quote(value)


def plural(count: int, noun: str) -> str:
    """A count with its noun, in the plural unless the count is 1.

    Example:
        >>> plural(1, "record"), plural(2500, "record")
        ('1 record', '2,500 records')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
