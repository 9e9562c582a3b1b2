"""Model cards: read as they were written, by this release or another."""

import json
import math

import pytest

from components.served_models import ModelCard
from models.errors import InputError

MODEL = {"encoder": {"name": "netvlad", "clusters": 8}, "hidden_units": [16]}
CARD = {"level": "video", "model_id": "x", "model": MODEL}


@pytest.fixture
def write(tmp_path):
    """Writes a card from its JSON; returns the model's folder."""

    def to_folder(content):
        (tmp_path / "assets.extra").mkdir(exist_ok=True)
        (tmp_path / "assets.extra" / "model_card.json").write_text(json.dumps(content))
        return str(tmp_path)

    return to_folder


def test_a_written_card_reads_the_same(write):
    card = ModelCard(level="frame", model_id="x", model=MODEL, seed=3, threshold=0.25, validation={"f1": 0.5})
    folder = write({})
    card.write(folder)
    assert ModelCard.read(folder) == card
    assert card.model.model_dump() == MODEL


def test_nan_scores_are_kept(write):
    folder = write({})
    ModelCard(level="frame", model_id="x", model=MODEL, validation={"f1": math.nan}).write(folder)
    assert math.isnan(ModelCard.read(folder).validation["f1"])


def test_a_card_of_another_release_may_lack_a_threshold_and_have_more_keys(write):
    card = ModelCard.read(write(CARD | {"licence": "Apache-2.0"}))
    assert (card.threshold, card.experiment) == (None, "")


@pytest.mark.parametrize("key", ["level", "model_id", "model"])
def test_a_card_that_lacks_what_every_release_wrote_is_refused(write, key):
    folder = write({name: value for name, value in CARD.items() if name != key})
    with pytest.raises(InputError, match=rf"{folder}/assets\.extra/model_card\.json: {key} is missing$"):
        ModelCard.read(folder)
