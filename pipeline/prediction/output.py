"""Predictions as lines of text."""

import json
from collections.abc import Sequence

from pipeline.prediction.prediction import Answer

# As in submissions to the YouTube-8M challenges.
CSV_HEADER = "VideoId,LabelConfidencePairs\n"


def csv_line(answer: Answer) -> str:
    """`id,label score label score ...`, scores with 6 digits."""
    video_id = _text(answer.id)
    # The csv module does not quote a lone carriage return when lines end in \n; readers would end the line there.
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


def _text(video_id: bytes) -> str:
    return video_id.decode("utf-8", "backslashreplace")
