"""How commands connect to the API, and their messages when they cannot."""

import json
import socket
import time

import pytest
import yaml

from kfp_emulator.api.server import SERVICE
from pipeline.kubeflow.api import client, credentials
from pipeline.kubeflow.api.client import UI_ENDPOINT


@pytest.mark.parametrize(
    ("status", "path", "message"),
    [
        (401, "", "rejects the token (401)"),
        (403, "/runs", "cannot list runs: http://127.0.0.1"),
        (500, "/runs", "cannot list runs: http://127.0.0.1"),
        (400, "/upload_version", "cannot upload the package: http://127.0.0.1"),
    ],
)
def test_an_error_of_the_api_is_one_line(kfp, api_server, package, status, path, message):
    api_server.inject_error("", path, status=status, times=9)
    code, _, err = kfp("submit", "--package", package)
    assert code == 2 and message in err and "broken on purpose" in err and len(err.splitlines()) == 1


def test_an_unreachable_host_is_one_line_without_delay(yt8m, monkeypatch, caplog):
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"waits {seconds} s"))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        answer = yt8m("status", "--endpoint", f"http://u:secret@{host}")
    assert answer == (2, "", f"error: cannot connect: http://{host} cannot be reached: Connection refused\n")
    assert caplog.messages == []


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"{}"])
def test_a_login_page_is_not_mistaken_for_the_api(kfp, api_server, answer):
    api_server.healthz = answer
    code, _, err = kfp("status")
    assert code == 2 and "answers 200: not an answer of Kubeflow Pipelines, perhaps a login page" in err


def test_an_older_backend_is_a_warning(kfp, api_server, package):
    api_server.healthz = {"multi_user": False}
    code, _, err = kfp("submit", "--package", package)
    assert code == 0 and "looks older than Kubeflow Pipelines 2.15" in err


def test_a_token_from_a_file_or_a_variable_is_used_and_never_shown(kfp, api_server, package, tmp_path, monkeypatch):
    api_server.token = "right-secret"
    (tmp_path / "token").write_text("right-secret\n")
    answers = [kfp("submit", "--package", package, "--token-file", tmp_path / "token")]
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    answers.append(kfp("status"))
    monkeypatch.delenv("KF_PIPELINES_SA_TOKEN_PATH")
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "right-secret")
    answers.append(kfp("status"))
    assert [code for code, _, _ in answers] == [0, 0, 0] and "right-secret" not in str(answers)
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "wrong-secret")
    code, out, err = kfp("status")
    assert code == 2 and "rejects the token (401)" in err and "secret" not in out + err
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "token"]
    assert not any(b"secret" in path.read_bytes() for path in written)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "which is empty, expected a bearer token"),
        (b" \n", "which is empty, expected a bearer token"),
        (b"\xff\xfe", "expected a file with a bearer token"),
        (b"secret: of a\nsecret: file\n", "which is no bearer token: it has spaces, several lines"),
        ("sécret".encode(), "which is no bearer token"),
    ],
)
def test_a_file_without_a_token_is_named_and_not_shown(kfp, api_server, tmp_path, content, message):
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    code, _, err = kfp("status", "--token-file", tmp_path / "token")
    assert code == 2 and err.startswith(f"error: --token-file is '{tmp_path}/token'") and message in err
    assert err.count("\n") == 1 and "cret" not in err and api_server.requests == []


def test_a_variable_without_a_token_is_named_and_not_shown(kfp, api_server, monkeypatch):
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "secret\nX-Header: secret")
    code, _, err = kfp("status")
    assert code == 2 and err.startswith("error: KF_PIPELINES_TOKEN is set to what is no bearer token")
    assert "secret" not in err and api_server.requests == []


@pytest.mark.parametrize("context", ["{", "[]", "{}"])
def test_a_broken_context_of_kfps_client_is_named(kfp, tmp_path, monkeypatch, context):
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    (tmp_path / "context.json").write_text(context)
    code, _, err = kfp("status")
    assert (code, err) == (2, f"error: {tmp_path}/context.json: not a context of kfp's client, delete it\n")


@pytest.fixture
def kubectl(api_server, tmp_path, monkeypatch):
    """Writes kubectl's configuration for a user of the server, which is Kubernetes' API server."""
    api_server.as_kubernetes = True
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "config"))

    def write(user):
        cluster = {"name": "c", "cluster": {"server": api_server.url}}
        context = {"name": "x", "context": {"cluster": "c", "user": "me"}}
        config = {"clusters": [cluster], "users": [{"name": "me", "user": user}]}
        config |= {"contexts": [context], "current-context": "x"}
        (tmp_path / "config").write_text(yaml.safe_dump(config))

    return write


def test_without_an_endpoint_and_without_kubectl_nothing_is_reached(yt8m, kubectl):
    code, _, err = yt8m("status")
    assert code == 2 and "no --endpoint, no KF_PIPELINES_ENDPOINT, and kubectl's configuration names no cluster" in err


@pytest.mark.parametrize(
    ("user", "header"),
    [({"token": "of-kubectl\n"}, "Bearer of-kubectl"), ({"username": "me", "password": "pw"}, "Basic bWU6cHc=")],
)
def test_kubectls_credentials_are_used_for_every_request(yt8m, api_server, package, kubectl, user, header):
    kubectl(user)
    code, _, err = yt8m("submit", "--package", package)
    assert code == 0, err
    assert yt8m("status", next(iter(api_server.state.runs)))[0] == 0
    assert len(api_server.requests) > 10
    assert {request.headers["authorization"] for request in api_server.requests} == {header}
    assert all(request.path.startswith(SERVICE) for request in api_server.requests)


def test_kubectls_token_is_refreshed(yt8m, api_server, kubectl, tmp_path):
    credential = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1beta1"}
    credential["status"] = {"token": "NUMBER", "expirationTimestamp": "2020-01-01T00:00:00Z"}  # always expired
    (tmp_path / "plugin").write_text(
        f"#!/bin/sh\necho >> {tmp_path}/calls\n"
        f"echo '{json.dumps(credential)}' | sed \"s/NUMBER/$(wc -l < {tmp_path}/calls)/\"\n"
    )
    (tmp_path / "plugin").chmod(0o755)
    version = credential["apiVersion"]
    kubectl({"exec": {"apiVersion": version, "command": str(tmp_path / "plugin"), "interactiveMode": "Never"}})
    for command in (["schedule", "list"], ["status"]):
        code, _, err = yt8m(*command)
        assert code == 0, err
    tokens = [request.headers["authorization"].split()[1] for request in api_server.requests]
    assert len(tokens) >= 4 and tokens == sorted(set(tokens), key=int)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("", "exec: failed to decode process output"),
        ("echo no login >&2; exit 3", "exec: process returned 3. no login"),
        ('echo \'{"apiVersion": "v", "kind": "k", "status": {}}\'', "exec: missing token or client"),
    ],
)
def test_a_plugin_of_kubectl_without_credentials_is_the_reason(yt8m, api_server, kubectl, tmp_path, script, reason):
    (tmp_path / "plugin").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "plugin").chmod(0o755)
    kubectl({"exec": {"apiVersion": "v", "command": str(tmp_path / "plugin"), "interactiveMode": "Never"}})
    code, out, err = yt8m("status")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: kubectl's credentials cannot be read: {reason}") and api_server.requests == []


def test_a_pod_of_the_cluster_needs_no_options(yt8m, api_server, package, tmp_path, monkeypatch):
    api_server.token = "mounted"
    (tmp_path / "token").write_text("mounted")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setattr(client, "IN_CLUSTER", api_server.url)
    monkeypatch.setattr(credentials, "MOUNTED_TOKEN", tmp_path / "token")
    code, out, err = yt8m("submit", "--package", package, "--namespace", "mine")
    assert code == 0 and "link" not in out, err  # the API's address is not the UI's
    assert {experiment.get("namespace") for experiment in api_server.state.experiments.values()} == {None, "mine"}


@pytest.mark.parametrize(
    "endpoint", ["http://u:secret@[bad", "http://u:secret@host:80x", "http://u:sec/ret@h", "http://"]
)
def test_an_invalid_address_is_refused_without_its_password(yt8m, api_server, monkeypatch, endpoint):
    message = "is not a valid address, expected one such as http://localhost:8080\n"
    assert yt8m("status", "--endpoint", endpoint) == (2, "", f"error: --endpoint {message}")
    monkeypatch.setenv(UI_ENDPOINT, endpoint)
    assert yt8m("status", "--endpoint", api_server.url) == (2, "", f"error: {UI_ENDPOINT} {message}")


def test_the_address_of_a_page_of_the_ui_is_that_of_the_ui(yt8m, api_server, package):
    api_server.as_ui = True
    code, out, err = yt8m("submit", "--package", package, "--endpoint", f"{api_server.url}/?ns=a#/runs")
    assert code == 0 and f"link: {api_server.url}/#/runs/details/" in out, err
