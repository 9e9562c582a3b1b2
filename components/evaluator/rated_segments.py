"""The rated segments of packed videos as packed examples of their own, for TFMA to read."""

from collections.abc import Iterator

import apache_beam as beam
import tensorflow as tf
from tensorflow.core.example import example_pb2

from components.example_gen.tfrecord import write_record
from components.publishing import Attempt
from models.features import (
    AUDIO,
    AUDIO_WIDTH,
    ID,
    LABELS,
    NUM_FRAMES,
    RGB,
    RGB_WIDTH,
    SEGMENT_ENDS,
    SEGMENT_FRAMES,
    SEGMENT_LABELS,
    SEGMENT_SCORES,
    SEGMENT_STARTS,
)

_OF_THE_VIDEO = (ID, LABELS, RGB, AUDIO, NUM_FRAMES, SEGMENT_STARTS, SEGMENT_ENDS, SEGMENT_LABELS, SEGMENT_SCORES)


class WriteRatedSegments(beam.DoFn):
    """Files of packed videos, with a number each -> files of their rated segments, and the numbers of these.

    Args:
        folder: of the new files.
        scratch: of unfinished files.
    """

    def __init__(self, folder: str, scratch: str):
        self.folder, self.scratch = folder, scratch

    def process(self, number_and_file: tuple[int, str]) -> Iterator[int]:
        """Writes the segments of one file."""
        number, file = number_and_file
        written = 0
        with Attempt(self.scratch) as attempt:
            for video in tf.data.TFRecordDataset(file).as_numpy_iterator():
                for segment in rated_segments(video):
                    write_record(attempt.open(f"{self.folder}/segments-{number:05d}"), segment)
                    written += 1
        yield written


def rated_segments(video: bytes) -> Iterator[bytes]:
    """The rated segments of a packed video.

    Each is a packed video of five frames with the id `<id>:<start>`, the labels that hold in it, its ratings
    (`segment_labels`, `segment_scores`) and what other features the video has.
    """
    features = example_pb2.Example.FromString(video).features.feature
    of_segments: dict[int, list[tuple[int, float]]] = {}
    if SEGMENT_LABELS not in features:
        return
    starts, labels = (features[name].int64_list.value for name in (SEGMENT_STARTS, SEGMENT_LABELS))
    for start, label, score in zip(starts, labels, features[SEGMENT_SCORES].float_list.value, strict=True):
        of_segments.setdefault(start, []).append((label, score))
    for start, ratings in sorted(of_segments.items()):
        example = example_pb2.Example()
        segment = example.features.feature
        for name in features:
            if name not in _OF_THE_VIDEO:
                segment[name].CopyFrom(features[name])
        segment[ID].bytes_list.value.append(features[ID].bytes_list.value[0] + f":{start}".encode())
        segment[LABELS].int64_list.value.extend(sorted(label for label, score in ratings if score > 0))
        segment[NUM_FRAMES].int64_list.value.append(SEGMENT_FRAMES)
        for name, width in ((RGB, RGB_WIDTH), (AUDIO, AUDIO_WIDTH)):
            frames = features[name].bytes_list.value[0]
            segment[name].bytes_list.value.append(frames[start * width : (start + SEGMENT_FRAMES) * width])
        segment[SEGMENT_LABELS].int64_list.value.extend(label for label, _ in ratings)
        segment[SEGMENT_SCORES].float_list.value.extend(score for _, score in ratings)
        yield example.SerializeToString()
