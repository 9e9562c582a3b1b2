import json
from collections.abc import Callable
from pathlib import Path

import pytest
from kfp import dsl, kubernetes

from kfp_emulator.emulator import Emulator, Task
from kfp_emulator.tests.small_components import reader, shell, shell_pipeline, writer


@pytest.fixture
def chain(compiled: Callable[..., Path]) -> Path:
    def pipeline(metadata: str = "{}"):
        reader(numbers=writer(metadata=metadata).outputs["numbers"])

    return compiled(pipeline)


def test_a_step_reads_what_the_step_before_wrote(emulator: Callable[..., Emulator], chain: Path):
    cluster = emulator()
    run = cluster.run(chain)
    assert run.state == "SUCCEEDED", run.summary()
    text = run.tasks["reader"].outputs["text"]
    assert text.uri.startswith("minio://mlpipeline/v2/artifacts/small/") and text.type == "system.Artifact"
    assert cluster.store.path(text.uri).read_text() == "1 2 3"
    assert "input" in cluster.store.path(run.tasks["reader"].outputs["executor-logs"].uri).read_text()


def test_metadata_loses_its_types_in_ml_metadata(emulator: Callable[..., Emulator], chain: Path):
    written = {"flag": True, "count": 3, "name": "x", "list": [1, "a"], "nested": {"b": False}}
    run = emulator().run(chain, {"metadata": json.dumps(written)})
    [line] = [line for line in run.tasks["reader"].log.splitlines() if line.startswith("input ")]
    numbers = json.loads(line.removeprefix("input "))
    assert set(numbers) == {"name", "uri", "metadata"}, "no type is passed on"
    assert numbers["name"] == str(run.tasks["writer"].outputs["numbers"].id)
    session = json.loads(numbers["metadata"].pop("store_session_info"))
    assert session["Provider"] == "minio"
    assert numbers["metadata"] == {
        "flag": 1.0,
        "count": 3.0,
        "name": "x",
        "list": {"list": [1, "a"]},
        "nested": {"struct": {"b": False}},
        "display_name": "numbers",
    }
    assert run.tasks["writer"].outputs["numbers"].type == "system.Dataset"


@pytest.mark.parametrize(("metadata", "reason"), [('{"a": null}', "NullValue"), ('{"a": NaN}', "invalid value NaN")])
def test_metadata_that_the_launcher_cannot_record_fails_the_task(
    emulator: Callable[..., Emulator], chain: Path, metadata: str, reason: str
):
    run = emulator().run(chain, {"metadata": metadata})
    assert run.state == "FAILED"
    assert reason in run.tasks["writer"].error
    assert run.tasks["reader"].state == "SKIPPED"


def test_an_output_file_with_an_unknown_field_fails_the_task(
    emulator: Callable[..., Emulator], compiled: Callable[..., Path]
):
    write = """echo '{"artefacts": {}}' > $(dirname $0)/output_metadata.json"""
    run = emulator().run(compiled(shell_pipeline(write)))
    assert 'no field named "artefacts"' in run.tasks["shell"].error


@pytest.mark.parametrize(("strict", "state"), [(False, "SUCCEEDED"), (True, "FAILED")])
def test_a_missing_output_is_a_warning_or_an_error(
    emulator: Callable[..., Emulator], compiled: Callable[..., Path], strict: bool, state: str
):
    run = emulator(strict_outputs=strict).run(compiled(shell_pipeline("true")))
    assert run.state == state
    assert "does not exist" in run.tasks["shell"].log + run.tasks["shell"].error


def test_an_empty_folder_does_not_survive_the_object_store(
    emulator: Callable[..., Emulator], compiled: Callable[..., Path]
):
    cluster = emulator()
    run = cluster.run(compiled(shell_pipeline("mkdir -p $0/empty")))
    assert run.state == "SUCCEEDED"
    assert not cluster.store.path(run.tasks["shell"].outputs["page"].uri).exists()


def test_a_failed_step_is_retried_in_a_new_pod(emulator: Callable[..., Emulator], compiled: Callable[..., Path]):
    script = """
        test ! -e /tmp/before && touch /tmp/before $0.before
        echo attempt >> /state/attempts
        test $(wc -l < /state/attempts) = 3 && echo done > $0
    """

    def pipeline():
        task = shell(script=script).set_retry(2)
        kubernetes.mount_pvc(task, pvc_name="state", mount_path="/state")

    cluster = emulator(claims={"state": Path("/nowhere")})
    cluster.claims["state"] = cluster.folder / "claim"
    run = cluster.run(compiled(pipeline))
    task = run.tasks["shell"]
    assert (task.state, task.attempts, len(task.logs)) == ("SUCCEEDED", 3, 3), run.summary()
    assert cluster.store.path(task.outputs["page"].uri).read_text() == "done\n"
    assert not any((cluster.folder / "pods").iterdir()), "pods are removed"


def test_retries_end(emulator: Callable[..., Emulator], compiled: Callable[..., Path]):
    run = emulator().run(compiled(shell_pipeline("echo no; exit 3", retries=1)))
    task = run.tasks["shell"]
    assert (task.state, task.attempts) == ("FAILED", 2)
    assert task.error == "the container ended with exit status 3 (No more retries left)"
    assert task.outputs == {}
    assert task.log == "no\nno\n"


def test_the_launcher_ignores_a_stored_artifact_that_is_gone(emulator: Callable[..., Emulator], chain: Path):
    cluster = emulator()

    def delete_numbers(task: Task):
        [numbers] = task.executor_input["inputs"]["artifacts"]["numbers"]["artifacts"]
        [file] = cluster.store.path(numbers["uri"]).rglob("*.txt")
        file.unlink()

    run = cluster.run(chain, before={"reader": delete_numbers})
    assert cluster.store.path(run.tasks["reader"].outputs["text"].uri).read_text() == "nothing"


def test_an_imported_artifact_is_downloaded(emulator: Callable[..., Emulator], compiled: Callable[..., Path]):
    def pipeline(uri: str = "minio://other/numbers"):
        imported = dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset, reimport=False)
        reader(numbers=imported.output)

    cluster = emulator()
    file = cluster.store.path("minio://other/numbers/deep/numbers.txt")
    file.parent.mkdir(parents=True)
    file.write_text("7")
    run = cluster.run(compiled(pipeline))
    assert run.state == "SUCCEEDED", run.summary()
    assert cluster.store.path(run.tasks["reader"].outputs["text"].uri).read_text() == "7"


def test_a_cached_task_keeps_its_outputs(emulator: Callable[..., Emulator], chain: Path):
    cluster = emulator(cache=True)
    first, second = cluster.run(chain), cluster.run(chain)
    assert [task.cached for task in second.tasks.values()] == [True, True]
    assert second.tasks["reader"].outputs["text"].id == first.tasks["reader"].outputs["text"].id
    third = cluster.run(chain, {"metadata": '{"other": 1}'})
    assert not any(task.cached for task in third.tasks.values())
    assert not any(task.cached for task in cluster.run(chain, cache=False).tasks.values())


def test_a_task_without_cache_does_not_enter_it(emulator: Callable[..., Emulator], chain: Path):
    cluster = emulator(cache=True)
    cluster.run(chain, cache=False)
    first = cluster.run(chain)
    assert not any(task.cached for task in first.tasks.values())
    cluster.run(chain, cache=False)
    assert cluster.run(chain).tasks["writer"].outputs["numbers"].id == first.tasks["writer"].outputs["numbers"].id


def test_the_store_counts_what_moves_through_it(emulator: Callable[..., Emulator], chain: Path):
    cluster = emulator()
    run = cluster.run(chain)
    assert cluster.store.moved[run.tasks["writer"].outputs["numbers"].uri] == 2 * len("1 2 3"), "up, then down"
