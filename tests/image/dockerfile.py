"""Parses a Dockerfile and its .dockerignore, as far as ours need it."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath


@dataclass
class Stage:
    """A FROM line and the instructions after it."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)


def parse(text: str) -> tuple[dict[str, str], list[Stage]]:
    """The arguments before the first stage with their defaults, and the stages in order."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for line in re.sub(r"\\\n\s*", "", lines).splitlines():
        if not line.strip():
            continue
        keyword, rest = line.split(maxsplit=1)
        if keyword == "FROM":
            base, _, name = rest.split()
            stages.append(Stage(substitute(base, arguments), name))
        elif stages:
            stages[-1].instructions.append((keyword, rest))
        else:
            arguments |= assignment(rest)
    return arguments, stages


def assignment(text: str) -> dict[str, str]:
    """NAME=value of an ARG or ENV; an empty dict without a value."""
    name, equals, value = text.partition("=")
    return {name: value} if equals else {}


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """Replaces $NAME and ${NAME} by their values."""
    return re.sub(r"\$\{?(\w+)\}?", lambda match: variables.get(match[1], ""), text)


def context_files(folder: Path, ignore: str) -> Iterator[Path]:
    """Files of a build context, relative to its folder; the last pattern that matches a file or a parent decides."""
    patterns = [line for line in ignore.splitlines() if line and not line.startswith("#")]
    exceptions = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    for root, folders, files in os.walk(folder):
        here = PurePosixPath(Path(root).relative_to(folder))
        # Like Docker: an ignored folder is entered only for an exception below it.
        folders[:] = [
            name
            for name in folders
            if not _ignored(here / name, patterns)
            or any(exception.startswith(f"{here / name}/") for exception in exceptions)
        ]
        yield from (Path(here / name) for name in files if not _ignored(here / name, patterns))


def _ignored(path: PurePosixPath, patterns: list[str]) -> bool:
    names = [str(part) for part in (path, *path.parents)][:-1]
    ignored = False
    for pattern in patterns:
        plain = pattern.removeprefix("!")
        deep = plain.removeprefix("**/")
        matches = any(fnmatch(PurePosixPath(name).name if deep != plain else name, deep) for name in names)
        ignored = (not pattern.startswith("!")) if matches else ignored
    return ignored
