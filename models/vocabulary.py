"""The labels of a data set, in the order of their ids."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from models.errors import InputError, quote


@dataclass(frozen=True)
class Vocabulary:
    """Names and verticals of the C labels, by label id; a label without a vertical has ""."""

    names: tuple[str, ...]
    verticals: tuple[str, ...]

    @classmethod
    def of_ids(cls, classes: int) -> "Vocabulary":
        """A vocabulary whose names are the label ids."""
        return cls(tuple(map(str, range(classes))), ("",) * classes)


def read_vocabulary(text: str, source: str) -> Vocabulary:
    r"""Reads a vocabulary in the format of YouTube-8M.

    Args:
        text: CSV with a header; column names in any case and order. `Index` numbers the labels 0 .. C - 1, in any
            order. The name is `Name`, else `KnowledgeGraphId`, else `label <Index>`; `Vertical1` is the vertical.
            Other columns are ignored.
        source: file name for error messages.

    Raises:
        InputError: not CSV, columns missing, a row that does not fit the header, an index that is not a number,
            repeated or missing, two labels with the same name, or no rows.

    Example:
        >>> read_vocabulary("Index,Name,Vertical1\n0,Game,Games\n1,Car,Autos\n", "vocabulary.csv").names
        ('Game', 'Car')
    """
    rows = _rows(text, source)
    _, header = next(rows, (0, []))
    if not header:
        raise InputError(f"vocabulary {source}: is empty, expected the columns Index and Name")
    places = _columns(header, source)
    needed = max(places["Index"], places.get("Name", places.get("KnowledgeGraphId", 0)))
    names: dict[int, str] = {}
    verticals: dict[int, str] = {}
    named: dict[str, int] = {}
    for line, row in rows:
        where = f"vocabulary {source}, line {line}"
        if len(row) > len(header):
            raise InputError(
                f"{where}: has {len(row)} values, the header {len(header)} columns: quote a name that has a comma"
            )
        if len(row) <= needed:
            raise InputError(f"{where}: has {len(row)} values, the header {len(header)} columns")
        value = {column: row[place] for column, place in places.items() if place < len(row) and row[place].strip()}
        index = value.get("Index", "").strip()
        if not re.fullmatch("[0-9]{1,9}", index):
            raise InputError(f"{where}: Index is {quote(row[places['Index']])}, expected a whole number")
        number = int(index)
        if number in names:
            raise InputError(f"{where}: Index {number} occurs a second time")
        name = value.get("Name") or value.get("KnowledgeGraphId") or f"label {number}"
        if (same := named.setdefault(name, number)) != number:
            raise InputError(f"{where}: Index {same} has the name {quote(name)} too, names must be unique")
        names[number], verticals[number] = name, value.get("Vertical1", "")
    if not names:
        raise InputError(f"vocabulary {source}: has no rows")
    missing = next((number for number in range(len(names)) if number not in names), None)
    if missing is not None:
        raise InputError(
            f"vocabulary {source}: Index {missing} is missing, expected 0 to {len(names) - 1} for {len(names)} rows"
        )
    order = range(len(names))
    return Vocabulary(tuple(names[index] for index in order), tuple(verticals[index] for index in order))


def _rows(text: str, source: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the number of its first line, from 1."""
    if (place := text.find("\0")) >= 0:
        line = text.count("\n", 0, place) + 1
        raise InputError(f"vocabulary {source}, line {line}: holds a zero byte, expected UTF-8 text")
    # Descriptions may be long. The limit is global to the csv module, so it is restored.
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
    places: dict[str, int] = {}
    for column in ("Index", "Name", "KnowledgeGraphId", "Vertical1"):
        if names.count(column.casefold()) > 1:
            raise InputError(f"vocabulary {source}: has the column {column} twice")
        if column.casefold() in names:
            places[column] = names.index(column.casefold())
    if "Index" not in places or not {"Name", "KnowledgeGraphId"} & places.keys():
        mark = next((mark for mark in (";", "\t", "|") if len(header) == 1 and mark in header[0]), "")
        raise InputError(
            f"vocabulary {source}: has columns {quote(header)}, expected Index and Name"
            + (f", separated by commas, not by {mark!r}" if mark else "")
        )
    return places
