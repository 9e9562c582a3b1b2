"""Label names read from a pushed model as they were written, with any characters that end lines."""

import numpy as np
import pytest
import tensorflow as tf

from components.served_models import EXTRA, ModelCard, read_label_names
from components.trainer.export import export
from models.settings import ModelSettings
from models.video_classifier import build_video_classifier

LINE_ENDS = ["\n", "\r", "\r\n", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"]


def test_names_with_line_ends_stay_with_their_labels(transformed_means, tmp_path):
    names = tuple(f"Late{end}Night Show" for end in LINE_ENDS)
    settings = ModelSettings(encoder={"name": "average"})
    model = build_video_classifier(settings, len(names), seed=1)
    card = ModelCard(level="video", model_id="x", model=settings.model_dump())
    export(model, transformed_means.graph.uri, names, card, str(tmp_path / "model"))
    assert tuple(read_label_names(str(tmp_path / "model"))) == names
    served = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    [file, *_] = tf.io.gfile.glob(f"{transformed_means.examples.uri}/Split-test/*")
    answer = served(examples=tf.stack(list(tf.data.TFRecordDataset(file).take(2))))
    labels = np.vectorize(bytes.decode)(answer["labels"].numpy())
    assert labels.tolist() == [[names[index] for index in row] for row in answer["indices"].numpy()]


@pytest.mark.parametrize("names", [["a", "b"], ["", "a\u2028b", "c"], [f"x{end}y" for end in LINE_ENDS[3:]]])
def test_models_of_earlier_releases_have_a_line_for_each_name(tmp_path, names):
    (tmp_path / EXTRA).mkdir()
    (tmp_path / EXTRA / "labels.txt").write_bytes("".join(f"{name}\n" for name in names).encode())
    assert read_label_names(str(tmp_path)) == names
