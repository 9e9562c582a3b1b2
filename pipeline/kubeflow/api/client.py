"""A connection to the API of Kubeflow Pipelines: how it is found and entered, and its failures in words."""

import json
import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kfp
import kubernetes
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials
from kfp_server_api import ApiException
from urllib3.exceptions import HTTPError

from models.errors import InputError

# Variables: the token is ours, the others are kfp's.
ENDPOINT, UI_ENDPOINT = "KF_PIPELINES_ENDPOINT", "KF_PIPELINES_UI_ENDPOINT"
TOKEN, TOKEN_FILE = "KF_PIPELINES_TOKEN", "KF_PIPELINES_SA_TOKEN_PATH"

# Where Kubernetes puts a token for Kubeflow Pipelines, and where pods of its cluster find the API.
MOUNTED_TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")
IN_CLUSTER = "http://ml-pipeline.kubeflow:8888"

# Seconds to connect, and to wait for an answer.
TIMEOUT = (3.0, 60.0)
PAGE_SIZE = 100
# What urllib3 puts before a reason.
_OBJECTS = re.compile(r"((<.*>|\w+\(.*\)): )?(Failed to establish a new connection: )?(\[Errno -?\d+\] )?")
# Of what may have been lost on the way.
TRIES, PAUSE_SECONDS = 3, 1.0


class ApiError(InputError):
    """What the API refused to do, or did not answer to; `status` is HTTP's, 0 where no answer came."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Connection:
    """A kfp client that has reached the API.

    Attributes:
        client: its generated APIs are `client.runs` and the like.
        endpoint: as messages name it.
        ui: address of the UI; empty if unknown.
        namespace: of the user, where several share an installation.
        outdated: whether the backend looks older than what packages are written for.
    """

    client: kfp.Client
    endpoint: str
    ui: str
    namespace: str | None
    outdated: bool

    def ask(self, purpose: str, method: Callable[..., Any], *path: Any, **arguments: Any) -> Any:
        """Calls a method of the generated APIs.

        Args:
            purpose: completes "cannot", for messages.
            method: of `client`.
            path: its positional arguments: ids in the request's path, a body.
            arguments: the others.

        Raises:
            ApiError: the API refuses, or cannot be reached.
        """
        return _answer(self.endpoint, purpose, lambda: method(*path, **arguments, _request_timeout=TIMEOUT))

    def every(
        self, purpose: str, method: Callable[..., Any], field: str, *path: str, **arguments: Any
    ) -> Iterator[Any]:
        """Goes through a list of resources, page by page.

        Args:
            purpose: see `ask`.
            method: that lists.
            field: of its answer that holds the resources.
            path: see `ask`.
            arguments: see `ask`.
        """
        token = ""
        while True:
            answer = self.ask(purpose, method, *path, page_size=PAGE_SIZE, page_token=token, **arguments)
            yield from getattr(answer, field) or ()
            token = answer.next_page_token
            if not token:
                return

    def create(self, find: Callable[[], Any], make: Callable[[], Any]) -> tuple[Any, bool]:
        """Makes what is not there yet, once, even if the connection breaks after the server has made it.

        Args:
            find: gives the resource, or None.
            make: asks for it.

        Returns:
            The resource, and whether it was made now.
        """
        made = False
        for tried in range(1, TRIES + 1):
            if found := find():
                return found, made
            try:
                return make(), True
            except ApiError as error:
                # Lost, there already, or too busy: look again.
                if error.status not in (0, 409, 503) or tried == TRIES:
                    raise
                made = error.status == 0
                time.sleep(PAUSE_SECONDS)
        raise AssertionError

    def warn(self, tell: Callable[[str], object]) -> None:
        """Says so if the backend may not run the packages."""
        if self.outdated:
            tell(
                f"warning: {self.endpoint} looks older than Kubeflow Pipelines 2.15 (its health names no "
                "pipeline_store); packages are written for 2.15 to 2.17"
            )

    def link(self, run_id: str) -> str:
        """The run's page in the UI; empty where its address is not known."""
        return f"{self.ui}/#/runs/details/{run_id}" if self.ui else ""


def connect(endpoint: str | None = None, token_file: Path | None = None, namespace: str | None = None) -> Connection:
    """Connects as the options say, else as the surroundings do.

    Without an endpoint it is, in a pod, the cluster's own, and elsewhere that of the cluster which kubectl speaks to,
    through Kubernetes' API. The token is that of the file, of `KF_PIPELINES_TOKEN` or the one mounted for it.

    Args:
        endpoint: address of the UI or of the API server.
        token_file: holds a bearer token, read again for each request.
        namespace: of the user.

    Raises:
        InputError: there is no token in the file, or nothing says where the API is.
        ApiError: it cannot be reached, or refuses the token.
    """
    if not endpoint and "KUBERNETES_SERVICE_HOST" in os.environ:
        endpoint = IN_CLUSTER
    if endpoint and "://" not in endpoint:
        endpoint = f"https://{endpoint}"
    try:
        known = not endpoint or (urlsplit(endpoint).hostname and urlsplit(endpoint).port != 0)
    except ValueError:
        known = False
    if not known:  # not shown: it may have a password
        raise InputError("--endpoint is no address, expected one such as http://localhost:8080")
    shown = _without_password(endpoint) if endpoint else _kubectl_cluster()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = _answer(shown, "connect", lambda: _Client(host=endpoint, **_credentials(token_file)))
        health = _answer(shown, "connect", client.get_kfp_healthz)
    ui = os.environ.get(UI_ENDPOINT) or ("" if endpoint in (None, IN_CLUSTER) else shown)
    return Connection(client, shown, _without_password(ui), namespace, health.pipeline_store is None)


class _Client(kfp.Client):
    """The client, that asks for the API's health once: kfp's asks for 25 seconds, with a stack trace every 5."""

    def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
        """The API's health."""
        found, status, headers = self._healthz_api.healthz_service_get_healthz_with_http_info(_request_timeout=TIMEOUT)
        if "json" not in headers.get("content-type", ""):
            raise ApiException(status, "no JSON, but perhaps a page to log in: this is not Kubeflow Pipelines' API")
        return found

    def _load_config(self, *given: Any) -> Any:
        config = super()._load_config(*given)
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # says when it tries again; a Configuration lowers it
        host, refresh = config.host, config.refresh_api_key_hook
        if refresh:

            def refresh_token(config: Any) -> None:
                refresh(config)
                config.host = host  # that of kubectl's token would set it to Kubernetes' own API

            config.refresh_api_key_hook = refresh_token
        return config


def _credentials(token_file: Path | None) -> dict[str, Any]:
    file = token_file or (MOUNTED_TOKEN if MOUNTED_TOKEN.exists() else None)
    if token_file is None and (token := os.environ.get(TOKEN)):
        return {"existing_token": token}
    if file is None:
        return {}
    try:
        found = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--token-file is {str(file)!r}: {error}, expected a file with a bearer token") from None
    if not found:
        raise InputError(f"--token-file is {str(file)!r}, which is empty, expected a bearer token")
    return {"credentials": ServiceAccountTokenVolumeCredentials(str(file))}


def _kubectl_cluster() -> str:
    found = kubernetes.client.Configuration()
    try:
        kubernetes.config.load_kube_config(client_configuration=found)
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"no --endpoint, no {ENDPOINT}, and kubectl's configuration leads nowhere ({reason}): "
            "say where Kubeflow Pipelines is, such as http://localhost:8080"
        ) from None
    return f"Kubeflow Pipelines through {_without_password(found.host)}"


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def _answer(endpoint: str, purpose: str, ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except ApiException as error:
        status, reason = error.status or 0, _reason(error)
    except HTTPError as error:
        status, reason = 0, _innermost(error)
    match status:
        case 0:
            said = f"cannot {purpose}: {endpoint} cannot be reached: {reason}"
        case 401:
            said = f"cannot {purpose}: {endpoint} refuses the token (401): {reason}; give --token-file or {TOKEN}"
        case 403:
            said = f"cannot {purpose}: the token is not allowed to at {endpoint} (403): {reason}"
        case _:
            said = f"cannot {purpose}: {endpoint} answers {status}: {reason}"
    raise ApiError(said, status) from None


def _reason(error: ApiException) -> str:
    """What the API says in its two forms of errors, or a proxy in whatever form: one line."""
    try:
        body = json.loads(error.body or "")
        text = body.get("error_message") or body.get("message") or body.get("error") or ""
    except (ValueError, AttributeError):
        text = ""
    return " ".join(str(text or error.reason or "no reason given").split())


def _innermost(error: BaseException) -> str:
    """Why, without the objects that urllib3 names: "Connection refused"."""
    cause = getattr(error, "reason", None)
    if isinstance(cause, BaseException):
        return _innermost(cause)
    return _OBJECTS.sub("", str(error), count=1) or type(error).__name__
