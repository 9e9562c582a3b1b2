"""Answers as lines of text, and where they go."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import uuid4

from models.errors import InputError
from pipeline.prediction.prediction import Answer

# Of the submissions to the YouTube-8M challenges.
CSV_HEADER = "VideoId,LabelConfidencePairs\n"


def csv_line(answer: Answer) -> str:
    """`id,label score label score ...`, scores with 6 digits."""
    video_id = _text(answer.id)
    # The csv module leaves a lone carriage return unquoted where lines end in \n; readers would end the line there.
    if any(character in video_id for character in ',"\r\n'):
        video_id = '"' + video_id.replace('"', '""') + '"'
    pairs = (f"{label} {score:g}" for label, score in zip(answer.labels, answer.scores, strict=True))
    return f"{video_id},{' '.join(pairs)}\n"


def json_line(answer: Answer, names: Sequence[str]) -> str:
    """`{"id", "labels": [{"id", "name", "score"} ...]}`, scores with 6 digits."""
    labels = [
        {"id": label, "name": names[label], "score": float(f"{score:g}")}
        for label, score in zip(answer.labels, answer.scores, strict=True)
    ]
    return json.dumps({"id": _text(answer.id), "labels": labels}) + "\n"


@contextmanager
def open_output(out: Path | None) -> Iterator[IO[str]]:
    """Opens standard output, or a file that gets its name when it is complete.

    Raises:
        InputError: the file cannot be made.
    """
    if out is None:
        with open(sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False) as file:
            yield file
        return
    temporary = out.with_name(f".{out.name}.{uuid4().hex}")
    try:
        if out.is_dir():
            raise IsADirectoryError(None, "Is a directory")
        file = temporary.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise InputError(f"--out is {str(out)!r}: {error.strerror}, expected a file") from None
    try:
        with file:
            yield file
        temporary.rename(out)
    finally:
        temporary.unlink(missing_ok=True)


def _text(video_id: bytes) -> str:
    return video_id.decode("utf-8", "backslashreplace")
