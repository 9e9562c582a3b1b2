"""The labels of a data set, in the order of their ids."""

import csv
import io
from dataclasses import dataclass

from models.errors import InputError


@dataclass(frozen=True)
class Vocabulary:
    """Names of the C labels, and the top-level vertical of each, "" where there is none; a label id is a position."""

    names: tuple[str, ...]
    verticals: tuple[str, ...]

    @classmethod
    def of_ids(cls, classes: int) -> "Vocabulary":
        """Of labels that have no names but their ids."""
        return cls(tuple(map(str, range(classes))), ("",) * classes)


def read_vocabulary(text: str, source: str) -> Vocabulary:
    """Reads a vocabulary in the format of YouTube-8M.

    Args:
        text: CSV with a header. `Index` numbers the labels 0 .. C - 1 in any order; `Name` is shown, where it is empty
            `KnowledgeGraphId`, where that is empty or missing too `label <Index>`. `Vertical1` is the vertical. Other
            columns are ignored.
        source: file name for error messages.

    Raises:
        InputError: no `Index` column, an index that is no number, twice there or missing, or no rows.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if "Index" not in (reader.fieldnames or ()):
        raise InputError(f"vocabulary {source}: has columns {reader.fieldnames}, expected Index and Name")
    names: dict[int, str] = {}
    verticals: dict[int, str] = {}
    for row in reader:
        where = f"vocabulary {source}, line {reader.line_num}"
        try:
            index = int(row["Index"])
        except (TypeError, ValueError):
            raise InputError(f"{where}: Index is {row['Index']!r}, expected a whole number") from None
        if index in names:
            raise InputError(f"{where}: Index {index} occurs a second time")
        names[index] = row.get("Name") or row.get("KnowledgeGraphId") or f"label {index}"
        verticals[index] = row.get("Vertical1") or ""
    if not names:
        raise InputError(f"vocabulary {source}: has no rows")
    if missing := set(range(len(names))) - set(names):
        raise InputError(
            f"vocabulary {source}: Index {min(missing)} is missing, expected 0 to {len(names) - 1} "
            f"for {len(names)} rows"
        )
    order = range(len(names))
    return Vocabulary(tuple(names[index] for index in order), tuple(verticals[index] for index in order))
