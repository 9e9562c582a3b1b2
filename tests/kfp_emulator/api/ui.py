"""The server of KFP's UI: passes requests on to the API server, and reads logs and the object store itself.

It passes on /apis/v1beta1 and /apis/v2beta1 alone (frontend/server/app.ts).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kfp_emulator.api.state import ApiError, Json
from kfp_emulator.api.transport import Request, as_bytes

if TYPE_CHECKING:
    from kfp_emulator.api.server import ApiServer

Routes = list[tuple[str, str, Callable[..., Any]]]

# Its answer to a health check has another form, without pipeline_store (frontend/server/handlers/healthz.ts).
HEALTH = {"apiServerReady": True, "apiServerTagName": "2.17.0", "frontendTagName": "2.17.0"}


class UiError(ApiError):
    """An error of the UI's own endpoints: plain text."""

    def body(self) -> Json | str:
        return self.message


def routes(server: "ApiServer", of_the_api: Routes) -> Routes:
    """The routes of the UI's server."""
    passed_on = [route for route in of_the_api if route[1].startswith(("/apis/v1beta1", "/apis/v2beta1"))]
    return [
        ("GET", "/apis/v2beta1/healthz", lambda r: HEALTH | {"multi_user": server.multi_user}),
        ("GET", "/k8s/pod/logs", lambda r: _log(server, r)),
        ("GET", "/k8s/pod", lambda r: _pod(server, r)),
        ("GET", "/artifacts/get", lambda r: _object(server, r)),
        *passed_on,
    ]


def _log(server: "ApiServer", request: Request) -> bytes:
    """getPodLogsHandler of frontend/server/handlers/pod-logs.ts; the message is workflow-helper.ts's."""
    if server.multi_user and "podnamespace" not in request.query:
        raise UiError(422, "podnamespace argument is required")
    if request.query["podname"] not in server.logs:
        reason = "Error: Unable to retrieve workflow status: Error: HTTP request failed."
        raise UiError(500, f"Could not get main container logs: {reason}")
    return as_bytes(server.logs[request.query["podname"]])


def _pod(server: "ApiServer", request: Request) -> Json:
    """podInfoHandler of frontend/server/handlers/pod-info.ts."""
    name, namespace = request.query["podname"], request.query["podnamespace"]
    if name not in server.logs:
        raise UiError(500, f'Could not get pod {name} in namespace {namespace}: pods "{name}" not found')
    return {"metadata": {"name": name, "namespace": namespace}}


def _object(server: "ApiServer", request: Request) -> bytes:
    """getArtifactsHandler of frontend/server/handlers/artifacts.ts; `gcs` is its name of Google's store."""
    if server.multi_user and "namespace" not in request.query:
        raise UiError(400, "Namespace parameter is required when authentication is enabled")
    uri = "{source}://{bucket}/{key}".format(**request.query).replace("gcs://", "gs://")
    if uri in server.objects:
        return server.objects[uri]
    if server.store and (file := server.store.path(uri)).is_file():
        return file.read_bytes()
    raise UiError(500, "Failed to get object in bucket: NoSuchKey: The specified key does not exist.")
