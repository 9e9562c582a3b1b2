"""A connection to the API of Kubeflow Pipelines."""

import codecs
import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kfp
from kfp_server_api import (
    ApiException,
    V2beta1Experiment,
    V2beta1GetHealthzResponse,
    V2beta1Pipeline,
    V2beta1PipelineVersion,
    V2beta1RecurringRun,
    V2beta1Run,
)

from models.errors import InputError
from pipeline.kubeflow.api.credentials import kubectl_cluster, token_credentials, trim_tokens
from pipeline.kubeflow.api.errors import NOT_KFP, ApiError, api_errors

# Environment variables of kfp.
ENDPOINT, UI_ENDPOINT = "KF_PIPELINES_ENDPOINT", "KF_PIPELINES_UI_ENDPOINT"

# The API's address in the cluster.
IN_CLUSTER = "http://ml-pipeline.kubeflow:8888"

# Seconds to connect, and to wait for a response.
TIMEOUT = (3.0, 60.0)
PAGE_SIZE = 100
# Bytes of a text that are read at once.
PIECE = 1 << 16
# Attempts to create a resource, and the seconds between them.
ATTEMPTS, PAUSE_SECONDS = 3, 1.0

# What every resource of a kind has.
_IDS = {
    V2beta1Run: "run_id",
    V2beta1RecurringRun: "recurring_run_id",
    V2beta1Experiment: "experiment_id",
    V2beta1Pipeline: "pipeline_id",
    V2beta1PipelineVersion: "pipeline_version_id",
}


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
        with api_errors(self.endpoint, purpose):
            answer = method(*path, **arguments, _request_timeout=TIMEOUT)
            # The generated API reads any other text as a resource without values.
            if not isinstance(json.loads(self.client.runs.api_client.last_response.data), dict):
                raise TypeError
            _require_id(answer)
        return answer

    def read(self, purpose: str, path: str, query: Mapping[str, str] | None = None, host: str | None = None) -> str:
        """Reads a text that the generated APIs don't have; see `stream`."""
        return "".join(self.stream(purpose, path, query, host))

    def stream(
        self, purpose: str, path: str, query: Mapping[str, str] | None = None, host: str | None = None
    ) -> Iterator[str]:
        """Reads such a text piece by piece, as it may be long.

        Args:
            purpose: see `call`.
            path: path of the address, such as `/k8s/pod/logs`.
            query: parameters of the request.
            host: another address, such as `ui`.

        Raises:
            ApiError: at the first piece: the server rejects the request, answers with a page, or cannot be reached.
                Later: the connection broke.
        """
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        with api_errors(host or self.endpoint, purpose):
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
            with closing(response):
                # No text is a page, except that of a login, and the UI's for an address that its server does not know.
                if "text/html" in response.headers.get("content-type", ""):
                    raise ValueError
                while content := response.read(PIECE):
                    yield decode(content)

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
            for resource in getattr(response, field) or ():
                with api_errors(self.endpoint, purpose):
                    _require_id(resource)
                yield resource
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
        InputError: there is no token where one is expected, or there is no endpoint.
        ApiError: the API cannot be reached, or rejects the token.
    """
    if not endpoint and "KUBERNETES_SERVICE_HOST" in os.environ:
        endpoint = IN_CLUSTER
    endpoint = _address("--endpoint", endpoint) if endpoint else None
    ui = _address(UI_ENDPOINT, os.environ[UI_ENDPOINT]) if os.environ.get(UI_ENDPOINT) else ""
    credentials = token_credentials(token_file)
    server = _without_password(endpoint or kubectl_cluster())
    shown = server if endpoint else f"Kubeflow Pipelines through {server}"
    with warnings.catch_warnings(), api_errors(shown, "connect"):
        warnings.simplefilter("ignore")
        client = _Client(host=endpoint, **credentials)
        client.get_kfp_healthz()
    through_ui = "frontendTagName" in client.health
    ui = ui or (shown if through_ui else "")
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
            raise ApiException(response.status, NOT_KFP)
        return V2beta1GetHealthzResponse(multi_user=self.health.get("multi_user"))

    def _load_context_setting_or_default(self) -> None:
        try:
            super()._load_context_setting_or_default()
            self._context_setting["namespace"]
        except (ValueError, TypeError, LookupError):
            raise InputError(f"{self._LOCAL_KFP_CONTEXT}: not a context of kfp's client, delete it") from None

    def _load_config(self, *arguments: Any) -> Any:
        config = super()._load_config(*arguments)
        trim_tokens(config)
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns at each retry; a Configuration lowers the level
        host, refresh = config.host, config.refresh_api_key_hook
        if refresh:

            def refresh_token(config: Any) -> None:
                refresh(config)
                trim_tokens(config)
                # kubectl's hook sets the host to Kubernetes' own API, and itself again as the hook
                # (_set_config of kubernetes 26.1.0's config/kube_config.py).
                config.host, config.refresh_api_key_hook = host, refresh_token

            config.refresh_api_key_hook = refresh_token
        return config


def _require_id(resource: Any) -> None:
    """Raises TypeError if a resource has no id; other objects have none."""
    if (name := _IDS.get(type(resource))) and not getattr(resource, name):
        raise TypeError


def _address(source: str, text: str) -> str:
    """An address with a scheme, and without the page of the UI that a browser shows.

    Raises:
        InputError: it is none; the message leaves it out, as it may have a password.
    """
    address = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(address)
        if parts.hostname and parts.port != 0:
            return parts._replace(query="", fragment="").geturl().rstrip("/")
    except ValueError:
        pass
    raise InputError(f"{source} is not a valid address, expected one such as http://localhost:8080")


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
