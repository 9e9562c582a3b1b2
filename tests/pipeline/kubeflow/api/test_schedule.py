"""`yt8m schedule`: one recurring run per name."""

import json
from pathlib import Path

import pytest

from kfp_emulator.api.server import RECORDED

WEEKLY = ["--cron", "0 3 * * 1", "--package", Path(__file__).parents[1] / "netvlad-8.yaml"]


def test_a_schedule_starts_one_run_at_a_time_on_the_newest_span(kfp, api_server):
    code, out, _ = kfp("schedule", "create", "weekly", *WEEKLY, "--data", "/mnt/yt8m/span-{SPAN}/*")
    assert (code, out) == (0, "weekly: 0 0 3 * * 1\n")
    [recurring] = api_server.state.recurring_runs.values()
    assert (recurring["no_catchup"], recurring["max_concurrency"], recurring["mode"]) == (True, "1", "ENABLE")
    run = api_server.tick(recurring["recurring_run_id"])
    assert run["runtime_config"]["parameters"]["data"] == "/mnt/yt8m/span-{SPAN}/*"
    assert run["runtime_config"]["pipeline_root"] == "minio://mlpipeline/v2/artifacts"
    listed = kfp("schedule", "list")[1].splitlines()
    assert listed[1] == "weekly  0 0 3 * * 1  on     netvlad-8   /mnt/yt8m/span-{SPAN}/*"
    assert json.loads(kfp("schedule", "list", "--json")[1])[0]["cron"] == "0 0 3 * * 1"


def test_a_schedule_with_another_account_must_be_replaced(kfp, api_server):
    assert kfp("schedule", "create", "weekly", *WEEKLY)[0] == 0
    [recurring] = api_server.state.recurring_runs.values()
    recurring["service_account"] = "pipeline-runner"  # chosen by the API
    assert "(unchanged)" in kfp("schedule", "create", "weekly", *WEEKLY)[1]
    own = ["--service-account", "yt8m-pipeline"]
    code, _, err = kfp("schedule", "create", "weekly", *WEEKLY, *own)
    assert code == 2 and "yt8m schedule replace" in err
    assert kfp("schedule", "replace", "weekly", *WEEKLY, *own)[0] == 0
    [recurring] = api_server.state.recurring_runs.values()
    assert recurring["service_account"] == "yt8m-pipeline"


def test_a_schedule_without_the_pipeline_root_must_be_replaced(kfp, api_server):
    assert kfp("schedule", "create", "weekly", *WEEKLY)[0] == 0
    [recurring] = api_server.state.recurring_runs.values()
    del recurring["runtime_config"]["pipeline_root"]  # as an earlier release created it
    code, _, err = kfp("schedule", "create", "weekly", *WEEKLY)
    assert code == 2 and "another cron, package, pipeline root or parameters" in err
    assert kfp("schedule", "replace", "weekly", *WEEKLY)[0] == 0
    [recurring] = api_server.state.recurring_runs.values()
    assert recurring["runtime_config"]["pipeline_root"] == "minio://mlpipeline/v2/artifacts"


def test_a_recorded_schedule_and_its_run_are_read(kfp, api_server):
    recorded = json.loads((RECORDED / "lists.json").read_text())
    [recurring] = recorded["recurringruns"]["recurringRuns"]
    api_server.state.recurring_runs[recurring["recurring_run_id"]] = recurring
    run = recorded["scheduled_run"]
    api_server.state.runs[run["run_id"]] = run
    assert "minutely  0 * * * * *  paused  netvlad-8   /mnt/yt8m/frame" in kfp("schedule", "list")[1]
    assert kfp("schedule", "resume", "minutely")[1] == "minutely: resumed\n"
    assert "minutely57b62-1-287162574  netvlad-8" in kfp("status")[1]
    assert kfp("schedule", "delete", "minutely")[1] == "minutely: deleted\n"


def test_every_command_of_schedule_is_idempotent(kfp, api_server):
    recurring = api_server.state.recurring_runs
    for command, expected in (
        (["create", "weekly", *WEEKLY], [("0 0 3 * * 1", "ENABLED")]),
        (["pause", "weekly"], [("0 0 3 * * 1", "DISABLED")]),
        (["replace", "weekly", *WEEKLY, "--cron", "30 0 4 * * 1"], [("30 0 4 * * 1", "DISABLED")]),
        (["resume", "weekly"], [("30 0 4 * * 1", "ENABLED")]),
        (["delete", "weekly"], []),
    ):
        for changes in (True, False):
            before = len(api_server.changes)
            code, _, err = kfp("schedule", *command)
            assert code == 0, err
            assert (len(api_server.changes) > before) == changes, command
            schedules = [(run["trigger"]["cron_schedule"]["cron"], run["status"]) for run in recurring.values()]
            assert schedules == expected


@pytest.mark.parametrize("drop", ["request", "response"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_broken_connection_leaves_one_schedule_when_it_is_replaced(kfp, api_server, method, drop):
    kfp("schedule", "create", "weekly", *WEEKLY)
    api_server.inject_error(method, "/recurringruns", drop=drop)
    assert kfp("schedule", "replace", "weekly", *WEEKLY, "--cron", "0 4 * * 1")[0] == 0
    [recurring] = api_server.state.recurring_runs.values()
    assert recurring["trigger"]["cron_schedule"]["cron"] == "0 0 4 * * 1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "weekly", *WEEKLY, "--cron", "0 4 * * 1"], "schedule weekly exists with another cron"),
        (["create", "daily", *WEEKLY, "--cron", "daily"], "--cron is 'daily', expected 5 fields, or 6 with seconds"),
        (["pause", "daily"], "NAME is 'daily', allowed: weekly"),
        (["create", "daily", *WEEKLY, "--cluster", "cluster.yaml"], "--cluster and --set cluster.KEY would change"),
        (["create", "daily", "--cron", "0 4 * * 1"], "Missing option '--cluster'"),
    ],
)
def test_a_wrong_schedule_is_refused(kfp, arguments, message):
    kfp("schedule", "create", "weekly", *WEEKLY)
    code, _, err = kfp("schedule", *arguments)
    assert code == 2 and message in err
