"""Outcomes of predictions in TFMA's extracts: computed in batches, before TFMA passes single videos to their slices."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow.core.example import example_pb2
from tensorflow_model_analysis.extractors.extractor import Extractor
from tensorflow_model_analysis.extractors.unbatch_extractor import UNBATCH_EXTRACTOR_STAGE_NAME
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.utils.util import StandardExtracts

from models.features import ID, SEGMENT_LABELS
from models.input.index import UNRATED
from models.metrics.outcomes import Outcomes

# The key of the outcomes in the extracts; like predictions they are by model where there are two.
OUTCOMES = "outcomes"

Extracts = dict[str, Any]


def with_outcomes(extractors: Sequence[Extractor], rated: bool = False) -> list[Extractor]:
    """TFMA's extractors and one that adds the outcomes of batches of videos, or of rated segments."""
    place = [extractor.stage_name for extractor in extractors].index(UNBATCH_EXTRACTOR_STAGE_NAME)
    return [*extractors[:place], Extractor("ExtractOutcomes", beam.Map(add_outcomes, rated)), *extractors[place:]]


def add_outcomes(extracts: Extracts, rated: bool = False) -> Extracts:
    """The extracts of a batch of videos, with the outcomes of its predictions by each model.

    With `rated`, of rated segments: labels that a segment has no rating of are unknown.
    """
    batch = StandardExtracts(extracts)
    predictions, ids = batch.get_predictions(), batch.get_features()[ID].ravel().tolist()

    def targets(labels: np.ndarray) -> np.ndarray:
        return np.where(_rated_pairs(batch.get_inputs(), labels.shape), labels, UNRATED) if rated else labels

    if isinstance(predictions, Mapping):
        outcomes = {
            model: _outcomes(probabilities, targets(batch.get_labels(model)), ids, rated)
            for model, probabilities in predictions.items()
        }
        return {**extracts, OUTCOMES: outcomes}
    return {**extracts, OUTCOMES: _outcomes(predictions, targets(batch.get_labels()), ids, rated)}


def _rated_pairs(examples: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Which labels each packed example of a segment has a rating of, bool [segments, labels]."""
    rated = np.zeros(shape, bool)
    for row, example in zip(rated, examples.ravel(), strict=True):
        row[example_pb2.Example.FromString(example).features.feature[SEGMENT_LABELS].int64_list.value] = True
    return rated


def _outcomes(probabilities: np.ndarray, labels: np.ndarray, ids: list[bytes], rated: bool) -> np.ndarray:
    """The outcomes of each video, object [videos]."""
    return np.array(Outcomes.of(probabilities, labels, ids, rated).split(), object)


class OutcomesOf(metric_types.Preprocessor):
    """Passes the outcomes of a model's predictions to a combiner."""

    def __init__(self, model: str) -> None:
        super().__init__(name=f"outcomes_of/{model}")
        self._model = model

    def process(self, extracts: Extracts) -> Iterator[Outcomes]:
        """The outcomes in a video's extracts."""
        [outcomes] = StandardExtracts(extracts).get_by_key(OUTCOMES, self._model)
        yield outcomes
