"""`yt8m schedule`: one recurring run per name."""

import json
from pathlib import Path

import pytest

WEEKLY = ["--cron", "0 3 * * 1", "--package", Path(__file__).parents[1] / "netvlad-8.yaml"]


def test_a_schedule_starts_one_run_at_a_time_on_the_newest_span(kfp, api_server):
    code, out, _ = kfp("schedule", "create", "weekly", *WEEKLY, "--data", "/mnt/yt8m/span-{SPAN}/*")
    assert (code, out) == (0, "weekly: 0 0 3 * * 1\n")
    [recurring] = api_server.state.recurring_runs.values()
    assert (recurring["no_catchup"], recurring["max_concurrency"], recurring["mode"]) == (True, "1", "ENABLE")
    run = api_server.tick(recurring["recurring_run_id"])
    assert run["runtime_config"]["parameters"]["data"] == "/mnt/yt8m/span-{SPAN}/*"
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
