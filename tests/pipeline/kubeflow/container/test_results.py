"""Pages and scores for KFP's UI; errors in them fail no step."""

import pytest

from components.drift_detector.drift import Drift
from pipeline.experiments import find_experiment
from pipeline.kubeflow.container.results import PAGE_OF, scores, write_page
from pipeline.kubeflow.outputs import shown_outputs
from pipeline.settings import resolve_settings
from pipeline.steps import TRAITS


@pytest.fixture
def settings(tmp_path, frame_record, write_shard):
    write_shard(tmp_path / "data" / "0.tfrecord", [frame_record()])
    return resolve_settings(find_experiment("netvlad-8"), {"data.pattern": str(tmp_path / "data")})


def test_only_some_steps_have_a_page_and_scores():
    assert shown_outputs("Evaluator") == {"page": "system.HTML", "scores": "system.Metrics"}
    assert shown_outputs("Trainer") == {"page": "system.HTML"}
    assert shown_outputs("ExampleGen") == shown_outputs("Pusher") == {}


def test_a_page_is_one_file_without_external_resources(tmp_path, settings):
    Drift(version="", not_compared="no model serves yet: nothing to compare the data with").write(str(tmp_path))
    write_page("DriftDetector", {"drift": str(tmp_path)}, settings, tmp_path / "deep" / "page")
    page = (tmp_path / "deep" / "page").read_text()
    assert "no model serves yet" in page and "netvlad-8" in page
    assert "Schema" not in page and "src=" not in page and "://" not in page


def test_every_step_with_a_page_has_it_on_kubeflow_too():
    assert set(PAGE_OF) == {step for step, traits in TRAITS.items() if traits.page}


@pytest.mark.parametrize("step", PAGE_OF)
def test_a_page_that_cannot_be_rendered_holds_an_error(tmp_path, settings, step):
    write_page(step, {}, settings, tmp_path / "page")
    assert f"This page of {step} could not be rendered" in (tmp_path / "page").read_text()


def test_scores_that_cannot_be_read_are_empty(tmp_path):
    assert scores({"evaluation": str(tmp_path)}) == {}
