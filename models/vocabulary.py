"""The labels of a data set, in the order of their ids."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from models.errors import InputError, quote


@dataclass(frozen=True)
class Vocabulary:
    """The names of all labels.

    Attributes:
        names: by label id.
        verticals: by label id; "" for a label without one.
    """

    names: tuple[str, ...]
    verticals: tuple[str, ...]

    @classmethod
    def of_ids(cls, classes: int) -> "Vocabulary":
        """A vocabulary whose names are the label ids."""
        return cls(tuple(map(str, range(classes))), ("",) * classes)


def read_vocabulary(text: str, source: str) -> Vocabulary:
    r"""Reads a vocabulary in the format of YouTube-8M.

    Args:
        text: CSV with a header; column names in any case and order. `Index` numbers the labels from 0, in any order.
            The name is `Name`, else `KnowledgeGraphId`, else "label" and the index; `Vertical1` is the vertical. Other
            columns are ignored.
        source: file name for error messages.

    Raises:
        InputError: the text is not CSV, lacks a column or has no rows; a row does not fit the header; an index is not
            a number, repeated or missing; or two labels have the same name.

    Example:
        >>> read_vocabulary("Index,Name,Vertical1\n0,Game,Games\n1,Car,Autos\n", "vocabulary.csv").names
        ('Game', 'Car')
    """
    rows = _rows(text, source)
    _, header = next(rows, (0, []))
    if not header:
        raise InputError(f"vocabulary {source}: is empty, expected the columns Index and Name")
    positions = _columns(header, source)
    last_needed = max(positions["Index"], positions.get("Name", positions.get("KnowledgeGraphId", 0)))
    names: dict[int, str] = {}
    verticals: dict[int, str] = {}
    label_ids: dict[str, int] = {}
    for line, row in rows:
        where = f"vocabulary {source}, line {line}"
        if len(row) > len(header):
            raise InputError(f"{where}: has {len(row)} values for {len(header)} columns: quote a name that has a comma")
        if len(row) <= last_needed:
            raise InputError(f"{where}: has {len(row)} values for {len(header)} columns")
        values = {column: row[at] for column, at in positions.items() if at < len(row) and row[at].strip()}
        index = values.get("Index", "").strip()
        if not re.fullmatch("[0-9]{1,9}", index):
            raise InputError(f"{where}: Index is {quote(row[positions['Index']])}, expected a whole number")
        label_id = int(index)
        if label_id in names:
            raise InputError(f"{where}: Index {label_id} occurs a second time")
        name = values.get("Name") or values.get("KnowledgeGraphId") or f"label {label_id}"
        if (first := label_ids.setdefault(name, label_id)) != label_id:
            raise InputError(f"{where}: Index {first} has the name {quote(name)} too, names must be unique")
        names[label_id], verticals[label_id] = name, values.get("Vertical1", "")
    if not names:
        raise InputError(f"vocabulary {source}: has no rows")
    missing = next((label_id for label_id in range(len(names)) if label_id not in names), None)
    if missing is not None:
        raise InputError(
            f"vocabulary {source}: Index {missing} is missing, expected 0 to {len(names) - 1} for {len(names)} rows"
        )
    order = range(len(names))
    return Vocabulary(tuple(names[index] for index in order), tuple(verticals[index] for index in order))


def _rows(text: str, source: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the number of its first line, from 1."""
    if (position := text.find("\0")) >= 0:
        line = text.count("\n", 0, position) + 1
        raise InputError(f"vocabulary {source}, line {line}: holds a zero byte, expected UTF-8 text")
    # Descriptions may exceed the csv module's limit on a field, which is global, so it is restored.
    limit = csv.field_size_limit()
    # Without `strict`, an unclosed quote would read all later rows as part of one name.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        csv.field_size_limit(max(limit, len(text)))
        for row in reader:
            if any(value.strip() for value in row):
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"vocabulary {source}, line {line}: {error}: is a quote left open?") from None
    finally:
        csv.field_size_limit(limit)


def _columns(header: list[str], source: str) -> dict[str, int]:
    """Positions of the columns that are used: at least Index, and Name or KnowledgeGraphId."""
    names = [name.strip().casefold() for name in header]
    positions: dict[str, int] = {}
    for column in ("Index", "Name", "KnowledgeGraphId", "Vertical1"):
        if names.count(column.casefold()) > 1:
            raise InputError(f"vocabulary {source}: has the column {column} twice")
        if column.casefold() in names:
            positions[column] = names.index(column.casefold())
    if "Index" not in positions or not {"Name", "KnowledgeGraphId"} & positions.keys():
        separator = next((mark for mark in (";", "\t", "|") if len(header) == 1 and mark in header[0]), "")
        raise InputError(
            f"vocabulary {source}: has columns {quote(header)}, expected Index and Name"
            + (f", separated by commas, not by {separator!r}" if separator else "")
        )
    return positions
