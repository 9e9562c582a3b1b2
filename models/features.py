"""Names and sizes of the features of a YouTube-8M record, the same from ExampleGen to the served model."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["video", "frame"]

# What an experiment learns from: the means or the frames of videos, or the rated segments of frame-level records.
TrainingLevel = Literal["video", "frame", "segment"]

ID = "id"
LABELS = "labels"
RGB = "rgb"
AUDIO = "audio"
MEAN_RGB = "mean_rgb"
MEAN_AUDIO = "mean_audio"
NUM_FRAMES = "num_frames"

RGB_WIDTH = 1024
AUDIO_WIDTH = 128
WIDTH = RGB_WIDTH + AUDIO_WIDTH

# One frame a second; the published records hold up to the first five minutes of a video.
MAX_FRAMES = 300

# Ratings of segments: parallel lists, an item a rating. Segments without ratings have starts, and perhaps ends, alone.
SEGMENT_STARTS = "segment_start_times"
SEGMENT_ENDS = "segment_end_times"
SEGMENT_LABELS = "segment_labels"
SEGMENT_SCORES = "segment_scores"

# Frames, and so seconds, of a segment.
SEGMENT_FRAMES = 5

# Labels of the 2018 vocabulary (version 2 of the dataset).
YT8M_CLASSES = 3862

# Computed by the Transform graph.
LABEL_IDS = "label_ids"
MEAN = "mean"
FRAMES = "frames"


def record_level(level: TrainingLevel) -> Level:
    """The level of the records that an experiment reads."""
    return "video" if level == "video" else "frame"


@dataclass(frozen=True)
class Stream:
    """The columns of the joined 1152-wide frames that one encoder reads.

    Attributes:
        name: `rgb`, `audio` or `joined`.
        start: the first column.
        stop: the column after the last.
    """

    name: str
    start: int
    stop: int

    @property
    def width(self) -> int:
        """Number of features in a frame of this stream."""
        return self.stop - self.start


RGB_STREAM = Stream("rgb", 0, RGB_WIDTH)
AUDIO_STREAM = Stream("audio", RGB_WIDTH, WIDTH)
JOINED_STREAM = Stream("joined", 0, WIDTH)
