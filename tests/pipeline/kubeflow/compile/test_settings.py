"""The `cluster:` block: a wrong setting is refused with its key, its value and what is allowed."""

import pytest
import yaml

from models.errors import InputError
from pipeline.kubeflow.compile.settings import read_cluster

SMALLEST = """
cluster:
  image: registry.example/yt8m:0.1.0
  pipeline_root: s3://bucket/root
  push_directory: /mnt/yt8m/serving
  volumes:
    - {claim: yt8m, path: /mnt/yt8m}
"""


@pytest.fixture
def read(tmp_path):
    def build(text=SMALLEST, *overrides):
        (tmp_path / "cluster.yaml").write_text(text)
        return read_cluster(tmp_path / "cluster.yaml", overrides)

    return build


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("cluster.image=registry.example/yt8m", "cluster.image: image is 'registry.example/yt8m', expected a name"),
        ("cluster.image=registry.example:5000/yt8m:latest", "with a tag other than latest or a digest"),
        ("cluster.image=registry.example/Team/yt8m:1", "expected a name in lowercase, with a tag"),
        ("cluster.image=registry.example//yt8m:1", "expected a name in lowercase, with a tag"),
        ("cluster.cpu.image=yt8m:latest", "cluster.cpu.image: image is 'yt8m:latest'"),
        ("cluster.pipeline_root=/mnt/yt8m/root", "cluster.pipeline_root is '/mnt/yt8m/root'"),
        ("cluster.push_directory=s3://bucket/serving", "allowed: gs:// or a folder in /mnt/yt8m"),
        ("cluster.push_directory=/serving", "push_directory is '/serving', allowed: gs:// or a folder in /mnt/yt8m"),
        ("cluster.push_directory=/mnt/yt8m/../serving", "allowed: gs:// or a folder in /mnt/yt8m"),
        ("cluster.work_directory=gs://bucket/work", "work_directory is 'gs://bucket/work', allowed: a folder in"),
        ("cluster.artifacts=in_place", "cluster.artifacts is 'in_place': input should be 'store' or 'volume'"),
        ("cluster.artifacts=volume", "artifact_directory is '', allowed with artifacts volume: a folder in /mnt/yt8m"),
        ("cluster.artifact_directory=/mnt/yt8m/a", "is '/mnt/yt8m/a', allowed with artifacts store: none"),
        ("cluster.volumes=[{claim: yt8m, path: /minio}]", "which KFP or the system uses"),
        ("cluster.volumes=[{claim: Yt8m, path: /mnt}]", "cluster.volumes.0.claim is 'Yt8m', allowed: at most 63 lower"),
        ("cluster.volumes=[{claim: a.b, path: /mnt}]", "cluster.volumes.0.claim is 'a.b', allowed: at most 63"),
        ("cluster.volumes=[{claim: shared-memory, path: /mnt}]", "name of a volume that every step has, allowed"),
        ("cluster.volumes=[{claim: a, path: '/a:b'}]", "path is '/a:b', allowed: an absolute path"),
        ("cluster.volumes=[{claim: a, path: /mnt/yt8m, sub_path: ../b}]", "sub_path is '../b', allowed: a path inside"),
        ("cluster.volumes=[{claim: a, path: /mnt}, {claim: b, path: /mnt}]", "the path '/mnt' twice, allowed: one"),
        ("cluster.gpu.memory=lots", "cluster.gpu.memory is 'lots', allowed: a number above zero"),
        ("cluster.gpu.memory=8gb", "cluster.gpu.memory is '8gb', allowed: a number above zero"),
        ("cluster.cpu.cpu=0", "cluster.cpu.cpu is 0, allowed: a number above zero"),
        ("cluster.gpu.gpu_type=gpu", "cluster.gpu.gpu_type is 'gpu', allowed: a domain, / and a name"),
        ("cluster.gpu.node_selector={a/b/c: x}", "cluster.gpu.node_selector.a/b/c is 'a/b/c', allowed: at most 63"),
        ("cluster.gpu.node_selector={pool: a b}", "cluster.gpu.node_selector.pool is 'a b', allowed: at most 63"),
        ("cluster.gpu.tolerations=[{key: gpu, value: b}]", "value is 'b', allowed with operator Exists: none"),
        ("cluster.gpu.tolerations=[{operator: Equal}]", "operator is 'Equal', allowed without a key: Exists"),
        ("cluster.gpu.tolerations=[{key: a b}]", "cluster.gpu.tolerations.0.key is 'a b', allowed: at most 63"),
        ("cluster.image_pull_secrets=[A]", "cluster.image_pull_secrets.0 is 'A', allowed: at most 253 lowercase"),
        ("cluster.secrets=[{name: a..b, env: {A: key}}]", "cluster.secrets.0.name is 'a..b', allowed: at most 253"),
        ("cluster.secrets=[{name: s3, env: {A: a/b}}]", "cluster.secrets.0.env.A is 'a/b', allowed: at most 253"),
        (
            "cluster.secrets=[{name: a, env: {A: b}}, {name: c, env: {A: b}}]",
            "set the variable 'A' twice, allowed: once",
        ),
        ("cluster.steps.Trainer.gpus=-1", "cluster.steps.Trainer.gpus is -1"),
        ("cluster.secrets=[{name: s3, env: {AWS-KEY: key}}]", "cluster.secrets.0.env.AWS-KEY is 'AWS-KEY', allowed: "),
        ("cluster.labels.team=a b", "cluster.labels.team is 'a b'"),
        ("cluster.labels={a..b/c: x}", "cluster.labels.a..b/c is 'a..b/c', allowed: at most 63"),
        ("cluster.retries.max_retries=-1", "cluster.retries.max_retries is -1"),
        ("cluster.retries.max_retries=30", "backoff_factor 2, allowed: waits of at most 30 days together"),
        (
            "cluster.retries.backoff_factor=1.5",
            "cluster.retries.backoff_factor is 1.5: input should be a valid integer",
        ),
        (
            "cluster.retries.max_backoff_seconds=60",
            "max_backoff_seconds is 60, but Kubeflow Pipelines knows no longest",
        ),
        ("cluster.imag=yt8m:1", "allowed: image"),
    ],
)
def test_a_wrong_setting_is_refused_with_key_value_and_what_is_allowed(read, override, message):
    with pytest.raises(InputError) as error:
        read(SMALLEST, override)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert "cluster.yaml: " in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cluster: [", "cluster.yaml, line 2: not YAML"),
        ("[]", r"holds \[\], expected the key cluster"),
        ("cluster: {image: a:1, image: b:1}", "'image' appears twice"),
        ("image: a:1", "allowed: cluster"),
    ],
)
def test_a_file_without_a_cluster_block_is_refused(read, text, message):
    with pytest.raises(InputError, match=message):
        read(text)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"--cluster is .*, expected a YAML file"):
        read_cluster(tmp_path / "nothing.yaml")


def test_only_trainer_and_tuner_request_a_gpu(read):
    cluster = read()
    assert [cluster.node(step).gpus for step in ("Trainer", "Tuner", "ExampleGen", "Evaluator")] == [1, 1, 0, 0]
    assert [toleration.key for toleration in cluster.node("Trainer").tolerations] == ["nvidia.com/gpu"]


def test_a_step_overrides_single_keys_of_its_node_settings(read):
    content = yaml.safe_load(SMALLEST)
    content["cluster"] |= {
        "cpu": {"cpu": 16, "node_selector": {"pool": "cpu"}},
        "gpu": {"memory": "64Gi"},
        "steps": {"ExampleGen": {"memory": "24Gi"}, "Trainer": {"gpus": 4}},
    }
    cluster = read(yaml.safe_dump(content))
    example_gen, trainer = cluster.node("ExampleGen"), cluster.node("Trainer")
    assert (example_gen.cpu, example_gen.memory, example_gen.node_selector) == ("16", "24Gi", {"pool": "cpu"})
    assert (trainer.memory, trainer.gpus, trainer.cpu) == ("64Gi", 4, "8")
    assert trainer.tolerations[0].key == "nvidia.com/gpu"


def test_large_artifacts_stay_on_one_of_the_volumes(read):
    cluster = read(SMALLEST, "cluster.artifacts=volume", "cluster.artifact_directory=/mnt/yt8m/artifacts")
    assert (cluster.artifacts, cluster.artifact_directory) == ("volume", "/mnt/yt8m/artifacts")
    for elsewhere in ("gs://bucket/artifacts", "/artifacts", "/mnt/yt8m/../artifacts"):
        with pytest.raises(InputError, match="allowed with artifacts volume: a folder in /mnt/yt8m"):
            read(SMALLEST, "cluster.artifacts=volume", f"cluster.artifact_directory={elsewhere}")


@pytest.mark.parametrize("push", ["gs://bucket/serving", "/mnt/yt8m/serving"])
def test_models_are_pushed_to_a_volume_or_to_google_cloud_storage(read, push):
    assert read(SMALLEST, f"cluster.push_directory={push}").push_directory == push
