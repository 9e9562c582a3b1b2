"""Artifacts are converted from the launcher's form to TFX's, and back."""

import json

import pytest
from tfx.types import standard_artifacts

from components.example_gen.component import Quarantine
from models.errors import InputError
from pipeline.kubeflow.container.artifacts import input_artifacts, metadata_of, output_artifacts
from pipeline.kubeflow.container.executor_input import ExecutorInput, local_path
from pipeline.kubeflow.container.pointers import input_paths


def executor_input(inputs=(), outputs=(), **more):
    """An ExecutorInput in the launcher's form; artifacts are (key, uri, other fields)."""

    def listed(artifacts):
        return {key: {"artifacts": [{"name": "7", "uri": uri, **fields}]} for key, uri, fields in artifacts}

    content = {"inputs": {"artifacts": listed(inputs)}, "outputs": {"artifacts": listed(outputs), **more}}
    return ExecutorInput.parse(json.dumps(content))


@pytest.fixture
def filled(tmp_path):
    (tmp_path / "artifact").mkdir()
    (tmp_path / "artifact" / "file").write_text("content")
    return str(tmp_path / "artifact")


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("minio://mlpipeline/v2/x", "/minio/mlpipeline/v2/x"),
        ("s3://bucket/x", "/s3/bucket/x"),
        ("gs://bucket/x", "/gcs/bucket/x"),
        ("/tmp/outputs/x", "/tmp/outputs/x"),
    ],
)
def test_a_uri_becomes_the_local_path_of_the_launcher(uri, path):
    assert local_path(uri) == path


def test_an_untyped_input_regains_its_type_and_the_types_of_its_properties(filled):
    metadata = {
        "split_names": '["train", "test"]',
        "version": 3.0,
        "train_videos": 96.0,
        "share": 0.5,
        "payload_format": "FORMAT_TF_EXAMPLE",
        "listed": {"list": [1, "a"]},
        "nested": {"struct": {"a": 1}},
        "store_session_info": "{}",
        "display_name": "examples",
    }
    container_input = executor_input([("examples", filled, {"metadata": metadata})])
    types = {"examples": standard_artifacts.Examples}
    [examples] = input_artifacts(container_input, types, {"examples": filled})["examples"]
    assert isinstance(examples, standard_artifacts.Examples) and examples.uri == filled
    assert (examples.splits, examples.version) == (["train", "test"], 3)
    assert examples.get_int_custom_property("train_videos") == 96
    assert examples.get_float_custom_property("share") == 0.5
    assert examples.get_string_custom_property("payload_format") == "FORMAT_TF_EXAMPLE"
    assert examples.get_json_value_custom_property("listed") == [1, "a"]
    assert examples.get_json_value_custom_property("nested") == {"a": 1}
    assert not examples.has_custom_property("store_session_info") and not examples.has_custom_property("display_name")


@pytest.mark.parametrize("metadata", [{}, {"metadata": None}, {"metadata": {"champion_version": None}}])
def test_nulls_and_missing_metadata_are_no_properties(filled, metadata):
    container_input = executor_input([("model", filled, metadata)])
    [model] = input_artifacts(container_input, {"model": standard_artifacts.Model}, {"model": filled})["model"]
    assert metadata_of(model, {}) == {}


def test_an_input_without_files_is_refused_by_name_and_uri_and_says_how_to_recover(tmp_path):
    container_input = executor_input([("model", str(tmp_path / "model"), {})])
    with pytest.raises(InputError, match=rf"input model is {tmp_path}/model, which has no files.*submit --no-cache`"):
        container_input.require_files()
    (tmp_path / "model" / "empty").mkdir(parents=True)
    with pytest.raises(InputError, match="which has no files"):
        container_input.require_files()
    (tmp_path / "model" / "empty" / "file").touch()
    container_input.require_files()


def test_a_missing_champion_is_an_empty_directory(tmp_path):
    container_input = executor_input([("champion", str(tmp_path / "model"), {"metadata": {"champion_version": ""}})])
    container_input.require_files()
    paths = input_paths(container_input, None)
    [champion] = input_artifacts(container_input, {"champion": standard_artifacts.Model}, paths)["champion"]
    assert list((tmp_path / "model").iterdir()) == []
    assert champion.get_string_custom_property("champion_version") == ""


def test_an_artifact_missing_from_the_package_is_refused(filled):
    with pytest.raises(InputError, match="the package has no input schema, which this image needs: compile it again"):
        input_artifacts(executor_input([("model", filled, {})]), {"schema": standard_artifacts.Schema}, {})


def test_outputs_are_empty_directories_without_leftovers(tmp_path, filled):
    new = str(tmp_path / "deep" / "new")
    outputs = output_artifacts(
        executor_input(outputs=[("quarantine", filled, {}), ("model", new, {})]),
        {"quarantine": Quarantine, "model": standard_artifacts.Model},
    )
    assert [artifact.uri for [artifact] in outputs.values()] == [filled, new]
    for [artifact] in outputs.values():
        assert not any((tmp_path / artifact.uri).iterdir())


def test_output_metadata_has_no_nulls_and_uris_instead_of_paths():
    blessing = standard_artifacts.ModelBlessing()
    blessing.set_int_custom_property("blessed", 1)
    blessing.set_string_custom_property("current_model", "/minio/bucket/model")
    blessing.set_json_value_custom_property("nothing", None)
    blessing.set_json_value_custom_property("list", [1, 2])
    metadata = metadata_of(blessing, {"/minio/bucket/model": "minio://bucket/model"})
    assert metadata == {"blessed": 1, "current_model": "minio://bucket/model", "list": [1, 2]}
    assert json.loads(json.dumps(metadata)) == metadata


def test_output_metadata_has_the_typed_properties():
    examples = standard_artifacts.Examples()
    examples.split_names, examples.span = '["train"]', 4
    assert metadata_of(examples, {}) == {"split_names": '["train"]', "span": 4}
