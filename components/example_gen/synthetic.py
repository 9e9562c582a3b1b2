"""What marks raw shards as synthetic: results on them are called so wherever they are shown."""

from typing import Literal

from pydantic import BaseModel


class OracleScores(BaseModel, frozen=True):
    """Micro F1 of a predictor that knows how synthetic videos are drawn, and the number of videos scored."""

    micro_f1: float
    videos: int


class SyntheticData(BaseModel, frozen=True):
    """The content of `oracle.json` beside synthetic shards."""

    synthetic: Literal[True]
    oracle: OracleScores | None = None
