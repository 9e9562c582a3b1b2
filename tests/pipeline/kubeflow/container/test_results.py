"""Pages and scores for KFP's UI; errors in them fail no step."""

import pytest

from components.drift_detector.drift import Drift
from components.example_gen.synthetic import SyntheticData
from pipeline.experiments import find_experiment
from pipeline.kubeflow.container.results import PAGE_OF, scores, write_page
from pipeline.kubeflow.outputs import shown_outputs
from pipeline.kubeflow.parameters import ResolvedSettings
from pipeline.settings import resolve_settings
from pipeline.steps import TRAITS


@pytest.fixture
def resolved():
    settings = resolve_settings(find_experiment("netvlad-8"), {"data.pattern": "/on/another/machine"})
    return ResolvedSettings(settings=settings, span=0, shards="", vocabulary="", synthetic=None, sources="")


def test_only_some_steps_have_a_page_and_scores():
    assert shown_outputs("Evaluator") == {"page": "system.HTML", "scores": "system.Metrics"}
    assert shown_outputs("Trainer") == {"page": "system.HTML"}
    assert shown_outputs("ExampleGen") == shown_outputs("Pusher") == {}


def test_a_page_is_one_file_without_external_resources(tmp_path, resolved):
    Drift(version="", not_compared="no model serves yet: nothing to compare the data with").write(str(tmp_path))
    write_page("DriftDetector", {"drift": str(tmp_path)}, resolved, tmp_path / "deep" / "page")
    page = (tmp_path / "deep" / "page").read_text()
    assert "no model serves yet" in page and "netvlad-8" in page
    assert "Schema" not in page and "src=" not in page and "://" not in page and "Synthetic data." not in page


def test_a_page_says_that_the_data_are_synthetic_without_looking_at_them(tmp_path, resolved):
    Drift(version="", not_compared="no model serves yet").write(str(tmp_path))
    resolved = resolved.model_copy(update={"synthetic": SyntheticData(synthetic=True)})
    write_page("DriftDetector", {"drift": str(tmp_path)}, resolved, tmp_path / "page")
    assert "Synthetic data." in (tmp_path / "page").read_text()


def test_every_step_with_a_page_has_it_on_kubeflow_too():
    assert set(PAGE_OF) == {step for step, traits in TRAITS.items() if traits.page}


@pytest.mark.parametrize("step", PAGE_OF)
def test_a_page_that_cannot_be_rendered_holds_an_error(tmp_path, resolved, step):
    write_page(step, {}, resolved, tmp_path / "page")
    assert f"This page of {step} could not be rendered" in (tmp_path / "page").read_text()


def test_scores_that_cannot_be_read_are_empty(tmp_path):
    assert scores({"evaluation": str(tmp_path)}) == {}
