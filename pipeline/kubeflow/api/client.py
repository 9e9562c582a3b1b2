"""A connection to the API of Kubeflow Pipelines: endpoint, credentials and error messages."""

import json
import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kfp
import kubernetes
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials
from kfp_server_api import ApiException, V2beta1GetHealthzResponse
from urllib3.exceptions import HTTPError

from models.errors import InputError

# Environment variables: the token's is ours, the others are kfp's.
ENDPOINT, UI_ENDPOINT = "KF_PIPELINES_ENDPOINT", "KF_PIPELINES_UI_ENDPOINT"
TOKEN, TOKEN_FILE = "KF_PIPELINES_TOKEN", "KF_PIPELINES_SA_TOKEN_PATH"

# Where Kubernetes mounts a token for Kubeflow Pipelines, and the API's address in the cluster.
MOUNTED_TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")
IN_CLUSTER = "http://ml-pipeline.kubeflow:8888"

# Seconds to connect, and to wait for a response.
TIMEOUT = (3.0, 60.0)
PAGE_SIZE = 100
# Characters of a plain text that may be a reason.
MAX_REASON = 500
# What urllib3 prepends to the cause of an error.
_PREFIX = re.compile(r"((<.*>|\w+\(.*\)): )?(Failed to establish a new connection: )?(\[Errno -?\d+\] )?")
# Attempts to create a resource, and the seconds between them.
ATTEMPTS, PAUSE_SECONDS = 3, 1.0


class ApiError(InputError):
    """A failed request to the API; `status` is the HTTP status, 0 if there was no response."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Connection:
    """A kfp client that has reached the API.

    Attributes:
        client: has the generated APIs, such as `client.runs`.
        endpoint: the API's address for messages.
        through_ui: whether that is the address of the UI, whose server passes requests on.
        ui: address of the UI; empty if unknown.
        namespace: the user's namespace if several users share an installation.
        outdated: whether the backend seems older than the releases that packages are compiled for.
    """

    client: kfp.Client
    endpoint: str
    through_ui: bool
    ui: str
    namespace: str | None
    outdated: bool

    def call(self, purpose: str, method: Callable[..., Any], *path: Any, **arguments: Any) -> Any:
        """Calls a method of the generated APIs.

        Args:
            purpose: completes "cannot" in error messages.
            method: a method of one of the APIs of `client`.
            path: its positional arguments: ids in the request's path, a body.
            arguments: its keyword arguments.

        Raises:
            ApiError: the API rejects the request, or cannot be reached.
        """
        return _call(self.endpoint, purpose, lambda: method(*path, **arguments, _request_timeout=TIMEOUT))

    def read(
        self,
        purpose: str,
        path: str,
        query: Mapping[str, str] | None = None,
        host: str | None = None,
        limit: int | None = None,
    ) -> str:
        """Reads a text that the generated APIs don't have.

        Args:
            purpose: see `call`.
            path: path of the address, such as `/k8s/pod/logs`.
            query: parameters of the request.
            host: another address, such as `ui`.
            limit: read no more bytes than these.

        Raises:
            ApiError: the server rejects the request, or cannot be reached.
        """

        def request() -> str:
            response = self.client.runs.api_client.call_api(
                path,
                "GET",
                query_params=list((query or {}).items()),
                auth_settings=["Bearer"],
                _return_http_data_only=True,
                _preload_content=False,
                _request_timeout=TIMEOUT,
                _host=host,
            )
            content = response.data if limit is None else response.read(limit)
            if limit is not None:
                response.close()
            return str(content.decode("utf-8", "replace"))

        return str(_call(host or self.endpoint, purpose, request))

    def list_all(
        self, purpose: str, method: Callable[..., Any], field: str, *path: str, **arguments: Any
    ) -> Iterator[Any]:
        """All resources of a list, page by page.

        Args:
            purpose: see `call`.
            method: a method that lists resources.
            field: the field of its response that holds them.
            path: see `call`.
            arguments: see `call`.
        """
        token = ""
        while True:
            response = self.call(purpose, method, *path, page_size=PAGE_SIZE, page_token=token, **arguments)
            yield from getattr(response, field) or ()
            token = response.next_page_token
            if not token:
                return

    def create(self, find: Callable[[], Any], make: Callable[[], Any]) -> tuple[Any, bool]:
        """Creates a resource unless it exists; only one, even if the connection breaks before the response.

        Args:
            find: returns the resource, or None.
            make: requests its creation.

        Returns:
            The resource, and whether it is new.
        """
        created = False
        for attempt in range(1, ATTEMPTS + 1):
            if resource := find():
                return resource, created
            try:
                return make(), True
            except ApiError as error:
                # The response was lost, the resource exists, or the server is busy: look again.
                if error.status not in (0, 409, 503) or attempt == ATTEMPTS:
                    raise
                created = error.status == 0
                time.sleep(PAUSE_SECONDS)
        raise AssertionError

    def warn_if_outdated(self, report: Callable[[str], object]) -> None:
        """Reports a warning if the backend may be too old for the packages."""
        if self.outdated:
            report(
                f"warning: {self.endpoint} looks older than Kubeflow Pipelines 2.15 (its health names no "
                "pipeline_store); packages are written for 2.15 to 2.17"
            )

    def link(self, run_id: str) -> str:
        """Address of the run's page in the UI; empty if the UI's is unknown."""
        return f"{self.ui}/#/runs/details/{run_id}" if self.ui else ""


def connect(endpoint: str | None = None, token_file: Path | None = None, namespace: str | None = None) -> Connection:
    """Connects to the API.

    Without an endpoint: in a pod the API of its cluster, elsewhere that of kubectl's cluster, through Kubernetes' API.
    The token comes from the file, from `KF_PIPELINES_TOKEN` or from the one that Kubernetes mounts.

    Args:
        endpoint: address of the UI or of the API server.
        token_file: holds a bearer token; read again for each request.
        namespace: the user's namespace.

    Raises:
        InputError: the file has no token, or there is no endpoint.
        ApiError: the API cannot be reached, or rejects the token.
    """
    if not endpoint and "KUBERNETES_SERVICE_HOST" in os.environ:
        endpoint = IN_CLUSTER
    if endpoint and "://" not in endpoint:
        endpoint = f"https://{endpoint}"
    try:
        valid = not endpoint or (urlsplit(endpoint).hostname and urlsplit(endpoint).port != 0)
    except ValueError:
        valid = False
    if not valid:  # the message leaves it out, as it may have a password
        raise InputError("--endpoint is not a valid address, expected one such as http://localhost:8080")
    shown = _without_password(endpoint) if endpoint else _kubectl_cluster()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = _call(shown, "connect", lambda: _Client(host=endpoint, **_credentials(token_file)))
        _call(shown, "connect", client.get_kfp_healthz)
    through_ui = "frontendTagName" in client.health
    ui = os.environ.get(UI_ENDPOINT) or (shown if through_ui else "")
    outdated = not through_ui and client.health.get("pipeline_store") is None
    return Connection(client, shown, through_ui, _without_password(ui), namespace, outdated)


def filter_by_name(name: str) -> str:
    """A filter for `list_all`: resources with this display name."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})


class _Client(kfp.Client):
    """A client that checks the API's health once; kfp's retries for 25 seconds, with a stack trace every 5.

    Attributes:
        health: the answer. The UI's server has another form, with `frontendTagName` (its handlers/healthz.ts).
    """

    health: Mapping[str, Any]

    def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
        """The API's health."""
        response = self._healthz_api.api_client.call_api(
            "/apis/v2beta1/healthz", "GET", auth_settings=["Bearer"], _preload_content=False, _request_timeout=TIMEOUT
        )
        try:
            self.health = json.loads(response.data)
        except ValueError:
            self.health = {}
        if not isinstance(self.health, dict) or not {"multi_user", "frontendTagName"} & self.health.keys():
            reason = "perhaps a login page: this is not the API of Kubeflow Pipelines"
            raise ApiException(response.status, f"not its health, {reason}")
        return V2beta1GetHealthzResponse(multi_user=self.health.get("multi_user"))

    def _load_config(self, *arguments: Any) -> Any:
        config = super()._load_config(*arguments)
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns at each retry; a Configuration lowers the level
        host, refresh = config.host, config.refresh_api_key_hook
        if refresh:

            def refresh_token(config: Any) -> None:
                refresh(config)
                # kubectl's hook sets the host to Kubernetes' own API, and itself again as the hook
                # (_set_config of kubernetes 26.1.0's config/kube_config.py).
                config.host, config.refresh_api_key_hook = host, refresh_token

            config.refresh_api_key_hook = refresh_token
        return config


def _credentials(token_file: Path | None) -> dict[str, Any]:
    file = token_file or (MOUNTED_TOKEN if MOUNTED_TOKEN.exists() else None)
    if token_file is None and (token := os.environ.get(TOKEN)):
        return {"existing_token": token}
    if file is None:
        return {}
    try:
        token = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--token-file is {str(file)!r}: {error}, expected a file with a bearer token") from None
    if not token:
        raise InputError(f"--token-file is {str(file)!r}, which is empty, expected a bearer token")
    return {"credentials": ServiceAccountTokenVolumeCredentials(str(file))}


def _kubectl_cluster() -> str:
    configuration = kubernetes.client.Configuration()
    try:
        kubernetes.config.load_kube_config(client_configuration=configuration)
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"no --endpoint, no {ENDPOINT}, and kubectl's configuration names no cluster ({reason}): "
            "give the address of Kubeflow Pipelines, such as http://localhost:8080"
        ) from None
    return f"Kubeflow Pipelines through {_without_password(configuration.host)}"


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def _call(endpoint: str, purpose: str, request: Callable[[], Any]) -> Any:
    try:
        return request()
    except ApiException as error:
        status, reason = error.status or 0, _reason(error)
    except HTTPError as error:
        status, reason = 0, _innermost(error)
    match status:
        case 0:
            message = f"cannot {purpose}: {endpoint} cannot be reached: {reason}"
        case 401:
            message = f"cannot {purpose}: {endpoint} rejects the token (401): {reason}; give --token-file or {TOKEN}"
        case 403:
            message = f"cannot {purpose}: {endpoint} does not permit it with this token (403): {reason}"
        case 400 if "empty namespace" in reason:
            message = f"cannot {purpose}: {endpoint} has several users (400: {reason}); give --namespace"
        case _:
            message = f"cannot {purpose}: {endpoint} answers {status}: {reason}"
    raise ApiError(message, status) from None


def _reason(error: ApiException) -> str:
    """The reason in the API's two forms of errors, as the UI's plain text, or HTTP's; one line."""
    content = error.body or b""
    try:
        body = json.loads(content)
        text = body.get("error_message") or body.get("message") or body.get("error") or ""
    except (ValueError, AttributeError):
        text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
        if text.lstrip().startswith("<") or len(text) > MAX_REASON:  # a page
            text = ""
    return " ".join(str(text or error.reason or "no reason given").split())


def _innermost(error: BaseException) -> str:
    """The innermost cause without urllib3's prefix, such as "Connection refused"."""
    cause = getattr(error, "reason", None)
    if isinstance(cause, BaseException):
        return _innermost(cause)
    return _PREFIX.sub("", str(error), count=1) or type(error).__name__
