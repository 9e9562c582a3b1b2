"""`yt8m report` reads runs of Kubeflow Pipelines like run folders."""

import json

import pytest
import yaml

from models.training.log import EpochLog, TrainingLog
from pipeline.experiments import find_experiment
from pipeline.kubeflow.log_lines import RESULT, log_line
from pipeline.settings import resolve_settings


@pytest.fixture
def result():
    settings = resolve_settings(find_experiment("average-2304-1152"), {"data.pattern": "/mnt/yt8m/video"})
    log = TrainingLog(9_771_863, [EpochLog(0, 0.01, 0.81, 0.01, 0.65, 1e-4, 23_000, 60.0)], validation_videos=2_900)
    splits = {
        "train": {"videos": 23_000, "f1": 0.81},
        "validation": {"videos": 2_900, "f1": 0.65},
        "test": {"videos": 2_950, "f1": 0.6405, "precision": 0.83, "recall": 0.52},
    }
    return {
        "settings": settings.model_dump(mode="json"),
        "scores": {"synthetic": False, "splits": splits},
        "training_log": json.loads(log.to_json()),
    }


def test_a_run_on_kubeflow_is_reported_like_its_run_folder(kfp, api_server, evaluated, submit, result, tmp_path):
    folder = tmp_path / "runs" / "here"
    folder.mkdir(parents=True)
    (folder / "settings.yaml").write_text(yaml.safe_dump(result["settings"]))
    (folder / "scores.json").write_text(json.dumps(result["scores"]))
    (folder / "training_log.json").write_text(json.dumps(result["training_log"]))
    out = ["--json", "--out", tmp_path / "report"]
    expected = kfp("report", folder, *out)

    api_server.advance(evaluated, "SUCCEEDED")
    pod = next(pod for pod, log in api_server.logs.items() if log)
    api_server.logs[pod] += f"INFO x: {log_line(RESULT, result)}\n"
    failed = submit("--name", "failed")["run_id"]
    api_server.advance(failed, "FAILED")
    code, printed, err = kfp("report", "--kfp-experiment", "yt8m", *out)
    assert code == 0, err
    name = api_server.state.runs[evaluated]["display_name"]
    remote, local = json.loads(printed), json.loads(expected[1].replace(str(folder), f"{name} ({evaluated})"))
    assert remote.pop("unfinished") == {f"failed ({failed})": "is FAILED"} and not local.pop("unfinished")
    assert remote == local
    api_server.objects[api_server.uri(evaluated, "Evaluator", "executor-logs-1")] = api_server.logs[pod].encode()
    api_server.delete_pods(evaluated)
    code, _, err = kfp("report", "--kfp-experiment", "yt8m", *out)
    assert code == 2 and "no run of it has finished" in err
    api_server.as_ui = True  # its server reads the launcher's copy
    assert json.loads(kfp("report", "--kfp-experiment", "yt8m", *out)[1]) == json.loads(printed)
    both = json.loads(kfp("report", folder, "--kfp-experiment", "yt8m", *out)[1])
    assert str(folder) in json.dumps(both) and evaluated in json.dumps(both)


def test_runs_without_a_result_are_named(kfp, api_server, evaluated):
    api_server.advance(evaluated, "SUCCEEDED")
    code, _, err = kfp("report", "--kfp-experiment", "yt8m")
    assert code == 2 and "no run of it has finished and still has its log" in err
    assert kfp("report", "--kfp-experiment", "other")[2].startswith("error: --kfp-experiment is 'other': http")
    assert "Missing argument 'RUNS...'" in kfp("report")[2]
