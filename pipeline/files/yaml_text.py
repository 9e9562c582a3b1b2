"""YAML written by people: limited in size before it is loaded, with line numbers in errors."""

import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from models.errors import InputError, printable, quote

# Characters of a text, with its aliases expanded: the shipped catalogue has 15,000. Larger ones were not written by
# hand, and a dozen lines of aliases can expand to gigabytes.
MAX_SIZE = 1 << 20

# Levels of nested mappings and lists; settings need seven. PyYAML recurses in C and crashes at some ten thousand.
MAX_DEPTH = 50

_DATE = "tag:yaml.org,2002:timestamp"


def read_yaml(option: str, file: Path) -> Any:
    """Loads a YAML file.

    Args:
        option: the option that named the file, for the error message.
        file: UTF-8, one document.

    Raises:
        InputError: see `read_text` and `load_yaml`.
    """
    return load_yaml(str(file), read_text(option, file))


def read_text(option: str, file: Path, kind: str = "a YAML file") -> str:
    """Reads a text file written by people.

    Args:
        option: the option that named the file, for the error message.
        file: UTF-8, with or without a byte order mark.
        kind: the expected content, for the error message.

    Raises:
        InputError: it cannot be read, is longer than MAX_SIZE, or is not a regular file: opening a pipe or a
            device could block forever.
    """
    try:
        if not stat.S_ISREG(mode := file.stat().st_mode) and not stat.S_ISDIR(mode):
            raise InputError(f"{option} is {str(file)!r}: not a regular file, expected {kind}")
        with file.open("rb") as stream:
            content = stream.read(MAX_SIZE + 1)
    except OSError as error:
        raise InputError(f"{option} is {str(file)!r}: {error.strerror}, expected {kind}") from None
    if len(content) > MAX_SIZE:
        raise InputError(f"{file}: longer than {MAX_SIZE >> 20} MiB, expected {kind}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: byte {error.start} is not UTF-8 text, expected {kind}") from None


def load_yaml(source: str, text: str) -> Any:
    """Loads a YAML text; dates stay text.

    Args:
        source: origin of the text, for the error message.
        text: one document.

    Raises:
        InputError: it is not YAML, repeats a key, has a value that does not fit its tag or a whole number beyond 64
            bits, is nested deeper than MAX_DEPTH or longer than MAX_SIZE; names the line.
    """
    return _bounded(source, text, lambda: yaml.load(text, _Loader))


def load_documents(source: str, text: str) -> list[Any]:
    """Loads all documents of a YAML text; see `load_yaml`."""
    return _bounded(source, text, lambda: list(yaml.load_all(text, _Loader)))


def _bounded(source: str, text: str, load: Callable[[], Any]) -> Any:
    try:
        _check_size(text)
        return load()
    except yaml.MarkedYAMLError as error:
        place = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        kind = "" if isinstance(error, _Refused) else "not YAML: "
        raise InputError(f"{source}{place}: {kind}{printable(error.problem)}") from None
    except yaml.YAMLError as error:  # for example a control character
        raise InputError(f"{source}: not YAML: {str(error).splitlines()[0]}") from None
    except UnicodeEncodeError:  # bytes of a command line argument
        raise InputError(f"{source}: not YAML: not UTF-8 text") from None


def _check_size(text: str) -> None:
    """Checks the text by its events, without recursion and without building objects.

    Raises:
        _Refused: it is too long or too deep, or an alias is part of its own anchor.
    """
    size = 0  # of the text so far, with aliases expanded
    open_since: list[tuple[str | None, int]] = []  # anchors of the open collections, and `size` at their start
    sizes: dict[str | None, int] = {}  # by anchor
    for event in yaml.parse(text, yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_since):
                raise _Refused(f"*{event.anchor} is part of its own anchor", event.start_mark)
            size += sizes.get(event.anchor, 0)
        elif isinstance(event, yaml.ScalarEvent):
            size += 1 + len(event.value)
            if event.anchor:
                sizes[event.anchor] = 1 + len(event.value)
        elif isinstance(event, yaml.CollectionStartEvent):
            open_since.append((event.anchor, size))
            size += 1
            if len(open_since) > MAX_DEPTH:
                raise _Refused(f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_since.pop()
            if anchor:
                sizes[anchor] = size - before
        if size > MAX_SIZE:
            raise _Refused(f"longer than {MAX_SIZE >> 20} MiB with its aliases expanded", event.start_mark)


# In YAML 1.1, 1:30 is a number to the base 60 (90) and 010 one to the base 8 (8).
_OCTAL_OR_BASE_60 = re.compile(r"[-+]?[0-9_]+(:[0-9_.]+)+|[-+]?0[0-9_]+")


class _Refused(yaml.MarkedYAMLError):
    """Valid YAML that is not accepted as settings."""

    def __init__(self, problem: str, mark: Any) -> None:
        super().__init__(problem=problem, problem_mark=mark)


class _Loader(yaml.CSafeLoader):
    """Refuses repeated keys, which PyYAML accepts silently, and values that do not fit their tags."""

    # PyYAML's types without dates: no setting is a date, and 2026-07-01 may name a folder.
    yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in forms if tag != _DATE]
        for first, forms in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            return super().construct_object(node, deep)
        try:
            value = super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception:  # `!!bool x` is a KeyError, `!!int ""` an IndexError
            raise _Refused(
                f"{printable(node.value)} is not of type {node.tag.rpartition(':')[2]}", node.start_mark
            ) from None
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise _Refused(f"{printable(node.value)} is a whole number beyond 64 bits", node.start_mark)
        if isinstance(value, int | float) and _OCTAL_OR_BASE_60.fullmatch(node.value):
            raise _Refused(
                f"{printable(node.value)} means {value} in YAML 1.1: write that, or quote it", node.start_mark
            )
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if key.__hash__ and key in keys:
                raise yaml.constructor.ConstructorError(None, None, f"{quote(key)} appears twice", key_node.start_mark)
            if key.__hash__:
                keys.add(key)
        return super().construct_mapping(node, deep)
