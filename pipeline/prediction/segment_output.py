"""Predictions for segments as lines of text."""

import csv
import io
import json
from collections.abc import Iterator, Sequence

import numpy as np

from components.example_gen.listing import read_file
from models.errors import InputError, quote
from models.features import SEGMENT_FRAMES
from models.metrics.outcomes import best_labels
from pipeline.prediction.best_segments import BestSegments
from pipeline.prediction.output import csv_field, json_labels, text_of
from pipeline.prediction.segments import SegmentAnswer

# As in submissions to the challenge of 2019.
CSV_HEADER = "Class,Segments\n"

INDEX = "Index"


def csv_lines(answers: Iterator[SegmentAnswer], labels: Sequence[int], most: int) -> Iterator[str]:
    """The header and a line for each label, `label,id:start id:start ...`: its best segments, best first.

    Args:
        answers: of all videos.
        labels: ids that get a line.
        most: segments in a line.
    """
    best = BestSegments(len(labels), most)
    columns = np.array(labels)
    for answer in answers:
        best.add(answer.id, answer.starts, answer.probabilities[:, columns])
    yield CSV_HEADER
    for place, label in enumerate(labels):
        segments = " ".join(f"{text_of(video_id)}:{start}" for video_id, start in best.of(place))
        yield f"{label},{csv_field(segments)}\n"


def json_lines(
    answers: Iterator[SegmentAnswer], labels: Sequence[int], top: int, names: Sequence[str]
) -> Iterator[str]:
    """A line for each video, `{"id", "segments": [{"start", "end", "labels": [{"id", "name", "score"} ...]} ...]}`.

    Args:
        answers: of all videos.
        labels: ids that may be listed.
        top: labels of a segment that are listed, best first.
        names: of all labels.
    """
    columns = np.array(labels)
    for answer in answers:
        probabilities = answer.probabilities[:, columns]
        best = best_labels(probabilities, top)
        scores = np.take_along_axis(probabilities, best, axis=1).tolist()
        segments = [
            {
                "start": start,
                "end": start + SEGMENT_FRAMES,
                "labels": json_labels(columns[places].tolist(), of_segment, names),
            }
            for start, places, of_segment in zip(answer.starts, best, scores, strict=True)
        ]
        yield json.dumps({"id": text_of(answer.id), "segments": segments}) + "\n"


def read_labels(path: str, classes: int) -> list[int]:
    """The label ids in the column `Index` of a CSV file.

    Args:
        path: of the file.
        classes: number of labels of the model.

    Raises:
        InputError: there is no such file or column, or a value is no label of the model.
    """
    content = read_file(path, "--labels")
    if content is None:
        raise InputError(f"--labels: cannot read {path!r}: there is no such file")
    rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig", "replace"), newline=""))
    if INDEX not in (rows.fieldnames or ()):
        raise InputError(f"--labels {path}: has no column {INDEX}, expected label ids in it")
    labels = []
    for row in rows:
        text = row[INDEX] or ""
        if not (text.isascii() and text.isdigit() and int(text) < classes):
            allowed = f"expected a label of the model, 0 to {classes - 1}"
            raise InputError(f"--labels {path}, line {rows.line_num}: {INDEX} is {quote(text)}, {allowed}")
        labels.append(int(text))
    if not labels:
        raise InputError(f"--labels {path}: has no labels")
    return list(dict.fromkeys(labels))
