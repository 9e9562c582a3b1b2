"""What counts as drift."""

from typing import Annotated

from pydantic import Field

from models.settings import Settings

Distance = Annotated[float, Field(ge=0, le=1)]


class DriftSettings(Settings):
    """What counts as drift, and whether it ends a run before training.

    `label_distance` and `frame_distance` bound the Jensen-Shannon distance (the root of the divergence that TFDV's
    drift comparator bounds) of the labels and of the numbers of frames, `feature_shift` the shift of a feature's mean
    in its standard deviations. A difference within chance is no drift, however low the limit. Random splits of
    YouTube-8M with 22,916 and 2,917 videos have a feature shift of 0.06 and a label distance of 0.28.
    """

    label_distance: Distance = 0.1
    frame_distance: Distance = 0.1
    feature_shift: Annotated[float, Field(ge=0, le=1e6)] = 0.25
    stop: bool = False
