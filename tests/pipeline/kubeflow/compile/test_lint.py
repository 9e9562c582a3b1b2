"""Each rule of the linter finds its own kind of problem, and only that."""

import pytest
import yaml

from models.errors import InputError
from pipeline.cli import yt8m
from pipeline.kubeflow.compile.lint import lint
from pipeline.kubeflow.compile.package import compile_package


@pytest.fixture(scope="module")
def text(cluster):
    return compile_package(cluster(), "/mnt/yt8m/frame", "netvlad-8")


@pytest.fixture
def broken(text):
    """Lints a package after a change of its two documents."""

    def build(change):
        documents = list(yaml.safe_load_all(text))
        change(*documents)
        return lint(yaml.safe_dump_all(documents))

    return build


def tasks(spec):
    return spec["root"]["dag"]["tasks"]


def container(spec, step="Trainer"):
    return spec["deploymentSpec"]["executors"][f"exec-{step}"]["container"]


def other_schema_version(spec, platform):
    spec["schemaVersion"] = "2.0.0"


def pipeline_root_on_a_volume(spec, platform):
    spec["defaultPipelineRoot"] = "/mnt/yt8m/root"


def task_name_with_underscore(spec, platform):
    tasks(spec)["example_gen"] = tasks(spec).pop("ImportSchemaGen")
    tasks(spec)["example_gen"]["taskInfo"]["name"] = "example_gen"
    for task in tasks(spec).values():
        task["dependentTasks"] = [name for name in task.get("dependentTasks", []) if name != "ImportSchemaGen"]
        for artifact in task.get("inputs", {}).get("artifacts", {}).values():
            if artifact["taskOutputArtifact"]["producerTask"] == "ImportSchemaGen":
                artifact["taskOutputArtifact"]["producerTask"] = "example_gen"


def other_name_in_task_info(spec, platform):
    tasks(spec)["Pusher"]["taskInfo"]["name"] = "Publisher"


def resolver(spec, platform):
    spec["deploymentSpec"]["executors"]["exec-ChampionResolver"] = {"resolver": {"outputArtifactQueries": {}}}


def lifecycle_hook(spec, platform):
    container(spec, "ExampleGen")["lifecycle"] = {"preCacheCheck": {"command": ["python"]}}


def unpinned_image(spec, platform):
    container(spec)["image"] = "registry.example/yt8m:latest"


def platform_config_of_a_task(spec, platform):
    configs = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    configs["Trainer"] = configs["exec-Trainer"]


def missing_upstream_task(spec, platform):
    tasks(spec)["Pusher"]["dependentTasks"].append("Evaluator_task")


def missing_output_artifact(spec, platform):
    tasks(spec)["Pusher"]["inputs"]["artifacts"]["model"]["taskOutputArtifact"]["outputArtifactKey"] = "modle"


def missing_output_parameter(spec, platform):
    source = tasks(spec)["Pusher"]["inputs"]["parameters"]["settings"]["taskOutputParameter"]
    source["outputParameterKey"] = "setting"


def missing_executor(spec, platform):
    spec["components"]["comp-Pusher"]["executorLabel"] = "exec-pusher"


def missing_default(spec, platform):
    del spec["root"]["inputDefinitions"]["parameters"]["data"]["defaultValue"]


def parameter_that_no_task_reads(spec, platform):
    del tasks(spec)["ResolveSettings"]["inputs"]["parameters"]["overrides"]


def host_path_in_an_argument(spec, platform):
    container(spec, "ImportSchemaGen")["args"].append("--schema=/home/me/checkout/frame.pbtxt")


def host_path_in_a_parameter(spec, platform):
    spec["root"]["inputDefinitions"]["parameters"]["data"]["defaultValue"] = "/home/me/data"


def unmounted_volume(spec, platform):
    del platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-Pusher"]["pvcMount"]


def no_window_for_retries(spec, platform):
    del tasks(spec)["Trainer"]["retryPolicy"]["backoffMaxDuration"]


def factor_that_is_not_whole(spec, platform):
    tasks(spec)["Trainer"]["retryPolicy"]["backoffFactor"] = 1.5


def claim_with_a_dot(spec, platform):
    platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-Pusher"]["pvcMount"][0]["constant"] = "a.b"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (other_schema_version, "schemaVersion is '2.0.0', KFP reads 2.1.0"),
        (
            pipeline_root_on_a_volume,
            "defaultPipelineRoot is '/mnt/yt8m/root', the launcher supports minio://, s3:// and gs://",
        ),
        (task_name_with_underscore, "task example_gen: not a name for Argo, allowed: letters, digits and -"),
        (other_name_in_task_info, "task Pusher: taskInfo.name is 'Publisher', expected the task's name"),
        (resolver, "executor exec-ChampionResolver: is a resolver, open-source KFP runs only containers and importers"),
        (lifecycle_hook, "executor exec-ExampleGen: has a lifecycle hook, which open-source KFP never runs"),
        (unpinned_image, "executor exec-Trainer: image is 'registry.example/yt8m:latest', expected a name in lower"),
        (platform_config_of_a_task, "platform spec: Trainer is not an executor, so its settings have no effect"),
        (missing_upstream_task, "task Pusher: depends on Evaluator_task, which does not exist"),
        (missing_output_artifact, "task Pusher: reads model from Trainer.modle, which does not exist"),
        (missing_output_parameter, "task Pusher: reads settings from ResolveSettings.setting, which does not exist"),
        (missing_executor, "task Pusher: has no component with an executor"),
        (missing_default, "parameter data: has no default, so KFP rejects a run without it"),
        (
            host_path_in_an_argument,
            "executor exec-ImportSchemaGen: /home/me/checkout/frame.pbtxt is not on a volume that it mounts",
        ),
        (host_path_in_a_parameter, "parameter data: /home/me/data is not on a volume"),
        (no_window_for_retries, "task Trainer: is never retried, as backoffMaxDuration, the time for all attempts,"),
        (factor_that_is_not_whole, "task Trainer: backoffFactor is 1.5, Argo reads only whole numbers"),
        (claim_with_a_dot, "executor exec-Pusher: claim 'a.b' is no name for a volume: at most 63 lowercase letters"),
        (unmounted_volume, "executor exec-Pusher: /mnt/yt8m/serving is not on a volume that it mounts"),
    ],
)
def test_a_problem_is_reported_once(broken, change, problem):
    [message] = broken(change)
    assert message.startswith(problem)


def test_a_parameter_that_no_task_reads_is_reported_for_every_step(broken):
    problems = broken(parameter_that_no_task_reads)
    assert "parameter overrides: does not reach Trainer" in problems and len(problems) == 12


def test_a_compiled_package_has_no_problems(broken):
    assert broken(lambda spec, platform: None) == []


@pytest.mark.parametrize("text", ["", "a: [", "a: 1\n---\nb: 2\n", "pipelineInfo: {name: yt8m}"])
def test_a_text_without_a_package_is_one_problem(text):
    [problem] = lint(text)
    assert problem.startswith("not a package of a pipeline spec and a platform spec: ") and "\n" not in problem


@pytest.mark.parametrize("value", [None, [], float("inf"), {"a": None}])
@pytest.mark.parametrize(
    "place",
    [
        (0, "root", "dag"),
        (0, "deploymentSpec"),
        (0, "deploymentSpec", "executors"),
        (0, "deploymentSpec", "executors", "exec-Trainer"),
        (0, "deploymentSpec", "executors", "exec-Trainer", "container"),
        (0, "deploymentSpec", "executors", "exec-Trainer", "container", "args"),
        (0, "deploymentSpec", "executors", "exec-Trainer", "container", "image"),
        (0, "components", "comp-Trainer", "inputDefinitions", "parameters", "settings", "parameterType"),
        (1, "platforms", "kubernetes", "deploymentSpec", "executors", "exec-Trainer"),
    ],
)
def test_a_value_of_another_type_is_a_problem(text, place, value):
    documents = list(yaml.load_all(text, yaml.CSafeLoader))
    *above, key = place
    inner = documents
    for name in above:
        inner = inner[name]
    inner[key] = value
    problems = lint(yaml.dump_all(documents, Dumper=yaml.CSafeDumper))
    assert problems or place[-1] in ("args", "parameterType") or "platforms" in place


def test_the_command_prints_every_problem_on_a_line(text, tmp_path, capsys):
    (tmp_path / "package.yaml").write_text(text.replace("2.1.0", "2.0.0").replace("/mnt/yt8m/serving", "/serving"))
    with pytest.raises(InputError, match=r"package.yaml: 13 problems"):
        yt8m.main(["lint", str(tmp_path / "package.yaml")], standalone_mode=False)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 13 and lines[0].startswith("schemaVersion is '2.0.0'")
