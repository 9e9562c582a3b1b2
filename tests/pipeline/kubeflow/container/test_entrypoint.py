"""The process of a container: a failed step ends with one clear line and leaves no output file."""

import json
import shutil
import subprocess
import sys

import pytest

from models.vocabulary import Vocabulary
from pipeline.experiments import find_experiment
from pipeline.kubeflow.container.entrypoint import main
from pipeline.kubeflow.graph import Places, build_pipeline, edges
from pipeline.kubeflow.parameters import ResolvedSettings
from pipeline.settings import resolve_settings


@pytest.fixture
def data(tmp_path, frame_record, write_shard):
    for number in range(10):
        write_shard(tmp_path / "data" / f"{number}.tfrecord", [frame_record(f"v{number:03}")])
    return tmp_path / "data"


def task_folder(root, step):
    """The launcher's folder of a step."""
    return root / "yt8m" / "run-1" / step / "id"


def listed(artifacts):
    return {name: {"artifacts": [{"name": name, "uri": str(uri), "type": {}}]} for name, uri in artifacts.items()}


@pytest.fixture
def run(tmp_path):
    """Runs a step in this process; returns its exit code and its output file's content, None without a file."""

    generations = {f"{step}_generation": {} for step in ("ExampleGen", "Trainer")}

    def build(step, parameters, outputs=(), inputs=None, stale=None, **options):
        folder = task_folder(tmp_path, step)
        file = folder / "output_metadata.json"
        artifacts = {name: folder / name for name in (*outputs, "executor-logs")}
        executor_input = {
            "inputs": {"parameterValues": parameters, "artifacts": inputs or {}},
            "outputs": {"artifacts": listed(artifacts), "parameters": generations, "outputFile": str(file)},
        }
        if stale:
            folder.mkdir(parents=True)
            file.write_text(stale)
        arguments = ["--step", step, "--executor_input", json.dumps(executor_input)]
        arguments += ["--push_directory", str(tmp_path / "serving")]
        arguments += [word for name, value in options.items() for word in (f"--{name}", value)]
        return main(arguments), json.loads(file.read_text()) if file.exists() else None

    return build


def graph(tmp_path):
    settings = resolve_settings(find_experiment("netvlad-8"), {"data.pattern": "/data"})
    return "; ".join(edges(build_pipeline(settings, Vocabulary.of_ids(3), Places("/serving", ""))))


def parameters(data, experiment="netvlad-8", overrides="[]"):
    return {"data": str(data), "experiment": experiment, "overrides": overrides}


def test_the_first_step_outputs_settings_for_the_others(run, data, tmp_path):
    code, output = run("ResolveSettings", parameters(data, overrides='["seed=3"]'), graph=graph(tmp_path))
    assert code == 0 and output.keys() == {"parameterValues"}
    settings = {name: ResolvedSettings.model_validate_json(text) for name, text in output["parameterValues"].items()}
    assert settings["settings"].settings.experiment == "netvlad-8"
    assert settings["data_settings"].settings.experiment == "" and settings["data_settings"].settings.seed == 3


@pytest.fixture
def resolved(run, data, tmp_path):
    _, output = run("ResolveSettings", parameters(data), graph=graph(tmp_path))
    return output["parameterValues"]


def test_a_step_writes_its_outputs_and_removes_its_scratch_files(run, resolved, tmp_path):
    code, output = run("ImportSchemaGen", {"settings": resolved["data_settings"]}, ["schema"])
    assert code == 0
    [schema] = output["artifacts"].pop("schema")["artifacts"]
    assert output == {"artifacts": {}}, "executor-logs belongs to the launcher"
    folder = task_folder(tmp_path, "ImportSchemaGen")
    assert schema["uri"] == str(folder / "schema")
    assert "num_frames" in (folder / "schema" / "schema.pbtxt").read_text()
    assert sorted(path.name for path in folder.iterdir()) == ["output_metadata.json", "schema"]


def test_workers_of_an_engine_see_all_that_a_step_reads_and_writes(run, data, tmp_path, job_service):
    options = f"[--job_endpoint={job_service}, --environment_type=beam:env:embedded_python:v1]"
    overrides = json.dumps(["beam.runner=PortableRunner", f"beam.options={options}"])
    volume = {"artifact_directory": str(tmp_path / "volume"), "work_directory": str(tmp_path / "work")}
    _, output = run("ResolveSettings", parameters(data, overrides=overrides), graph=graph(tmp_path), **volume)
    values = output["parameterValues"]
    step = {"settings": values["data_settings"], "generation": values["ExampleGen_generation"]}
    code, output = run("ExampleGen", step, ["examples", "quarantine"], **volume)
    assert code == 0
    quarantine = task_folder(tmp_path, "ExampleGen") / "quarantine"
    assert output["artifacts"]["quarantine"]["artifacts"][0]["uri"] == str(quarantine) and any(quarantine.iterdir())
    inputs = {"examples": output["artifacts"]["examples"]}
    [examples] = (tmp_path / "volume" / "yt8m" / "run-1" / "ExampleGen").iterdir()
    assert examples.name.startswith("examples-") and not any((tmp_path / "work" / "jobs").iterdir())

    code, output = run("ImportSchemaGen", {"settings": values["data_settings"]}, ["schema"], **volume)
    inputs |= listed({"schema": task_folder(tmp_path, "ImportSchemaGen") / "schema"})
    code, _ = run("StatisticsGen", {"settings": values["data_settings"]}, ["statistics"], inputs, **volume)
    assert code == 0 and any((task_folder(tmp_path, "StatisticsGen") / "statistics").rglob("FeatureStats.pb"))
    assert not any((tmp_path / "volume" / "yt8m" / "run-1" / "StatisticsGen").iterdir())


def test_an_engine_needs_artifacts_on_a_volume(run, data, tmp_path, capsys):
    overrides = json.dumps(["beam.runner=PortableRunner", "beam.options=[--job_endpoint=localhost:1]"])
    assert run("ResolveSettings", parameters(data, overrides=overrides), graph=graph(tmp_path)) == (2, None)
    error = "error: ResolveSettings: beam.runner is PortableRunner, which needs a package with cluster.artifacts"
    assert capsys.readouterr().err.startswith(error)


def test_a_large_artifact_stays_on_the_volume_and_the_next_step_reads_it_there(run, data, tmp_path):
    volume = {"artifact_directory": str(tmp_path / "volume")}
    _, output = run("ResolveSettings", parameters(data), graph=graph(tmp_path), **volume)
    values = output["parameterValues"]
    step = {"settings": values["data_settings"], "generation": values["ExampleGen_generation"]}
    code, output = run("ExampleGen", step, ["examples", "quarantine"], **volume)
    assert code == 0
    written = task_folder(tmp_path, "ExampleGen")
    assert [path.name for path in (written / "examples").iterdir()] == ["pointer.json"]
    [examples] = (tmp_path / "volume" / "yt8m" / "run-1" / "ExampleGen").iterdir()
    assert {path.name for path in examples.iterdir()} == {"Split-test", "Split-train", "Split-validation", "index"}

    inputs = output["artifacts"]
    _, output = run("ResolveSettings", parameters(data), graph=graph(tmp_path), **volume)
    assert output["parameterValues"] == values, "KFP may take the step from its cache"
    code, _ = run("DatasetStatistics", {"settings": values["data_settings"]}, ["statistics", "page"], inputs, **volume)
    assert code == 0

    shutil.rmtree(examples / "index")
    assert run("DatasetStatistics", {"settings": ""}, ["statistics", "page"], inputs, **volume) == (2, None)
    _, output = run("ResolveSettings", parameters(data), graph=graph(tmp_path), **volume)
    changed = {name for name, value in output["parameterValues"].items() if value != values[name]}
    assert changed == {"ExampleGen_generation"}


def test_a_users_mistake_is_one_line_and_leaves_no_output_file_of_an_earlier_attempt(run, tmp_path, capfd):
    code, output = run("ResolveSettings", parameters(tmp_path / "nothing"), stale="{}", graph=graph(tmp_path))
    assert (code, output) == (2, None)
    log = capfd.readouterr().err
    assert f"error: ResolveSettings: data: no file matches '{tmp_path}/nothing'" in log
    assert "Traceback" not in log


def test_an_unexpected_error_also_ends_with_one_line(run, capfd):
    code, output = run("ImportSchemaGen", {"settings": "{}"}, ["schema"])
    assert (code, output) == (1, None)
    assert capfd.readouterr().err.splitlines()[-1].startswith("error: ImportSchemaGen: ValidationError: ")


def test_a_step_missing_from_the_image_is_refused(run, resolved, capfd):
    code, _ = run("Infra", {"settings": resolved["settings"]})
    assert code == 2 and "this image has no step Infra" in capfd.readouterr().err


MODULE = "pipeline.kubeflow.container.entrypoint"


def test_help_does_not_import_tfx():
    command = [sys.executable, "-X", "importtime", "-m", MODULE, "--help"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--executor_input" in answer.stdout and "tensorflow" not in answer.stderr


def test_every_attempt_of_a_step_whose_input_is_gone_ends_before_tfx_is_imported(tmp_path):
    """KFP retries it all the same: it knows no exit code that means never again."""
    content = {
        "inputs": {"artifacts": {"model": {"artifacts": [{"name": "7", "uri": f"{tmp_path}/model"}]}}},
        "outputs": {"outputFile": f"{tmp_path}/task/output.json"},
    }
    options = ["--step", "Evaluator", "--executor_input", json.dumps(content), "--push_directory", "/serving"]
    command = [sys.executable, "-X", "importtime", "-m", MODULE, *options]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 2 and "tensorflow" not in answer.stderr
    assert answer.stderr.splitlines()[-1] == (
        f"error: Evaluator: input model is {tmp_path}/model, which has no files: run the step that wrote it again, "
        "with `yt8m submit --no-cache`; retries cannot help"
    )


def test_the_log_of_a_failed_step_is_its_traceback_and_last_the_reason(tmp_path):
    content = {
        "inputs": {"parameterValues": {"settings": "{}"}},
        "outputs": {"outputFile": f"{tmp_path}/task/output.json"},
    }
    options = ["--step", "ImportSchemaGen", "--executor_input", json.dumps(content), "--push_directory", "/serving"]
    answer = subprocess.run([sys.executable, "-m", MODULE, *options], capture_output=True, text=True)
    first, *_, last = answer.stderr.splitlines()
    assert answer.returncode == 1 and not answer.stdout
    assert first == "Traceback (most recent call last):", "TensorFlow's banners are left out"
    assert last.startswith("error: ImportSchemaGen: ValidationError: ")
