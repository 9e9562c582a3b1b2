"""Predictions as lines of text."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pipeline.prediction.prediction import Answer

# As in submissions to the YouTube-8M challenges.
CSV_HEADER = "VideoId,LabelConfidencePairs\n"


def csv_lines(answers: Iterable[Answer]) -> Iterator[str]:
    """The header and a line for each video."""
    yield CSV_HEADER
    yield from map(csv_line, answers)


def json_lines(answers: Iterable[Answer], names: Sequence[str]) -> Iterator[str]:
    """A line for each video."""
    return (json_line(answer, names) for answer in answers)


def csv_line(answer: Answer) -> str:
    """`id,label score label score ...`, scores with 6 digits."""
    pairs = (f"{label} {score:g}" for label, score in zip(answer.labels, answer.scores, strict=True))
    return f"{csv_field(text_of(answer.id))},{' '.join(pairs)}\n"


def json_line(answer: Answer, names: Sequence[str]) -> str:
    """`{"id", "labels": [{"id", "name", "score"} ...]}`, scores with 6 digits."""
    return json.dumps({"id": text_of(answer.id), "labels": json_labels(answer.labels, answer.scores, names)}) + "\n"


def json_labels(labels: Sequence[int], scores: Sequence[float], names: Sequence[str]) -> list[dict[str, Any]]:
    """`{"id", "name", "score"}` of each label, scores with 6 digits."""
    return [
        {"id": label, "name": names[label], "score": float(f"{score:g}")}
        for label, score in zip(labels, scores, strict=True)
    ]


def csv_field(text: str) -> str:
    """A text as a field of a CSV line."""
    # The csv module does not quote a lone carriage return when lines end in \n; readers would end the line there.
    quoted = any(character in text for character in ',"\r\n')
    return '"' + text.replace('"', '""') + '"' if quoted else text


def text_of(video_id: bytes) -> str:
    """An id as text; bytes that are no UTF-8 are escaped."""
    return video_id.decode("utf-8", "backslashreplace")
