"""HTTP below the KFP API server: requests, responses and injected errors."""

import json
import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from kfp_emulator.api.state import ApiError, UploadError


@dataclass
class Request:
    """A client's request; `body` is parsed if it is JSON."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass
class InjectedError:
    """What the next `times` matching requests get instead of their answer.

    Attributes:
        method: HTTP method; any if empty.
        path: A regular expression that is searched in the path.
        status: HTTP status of the answer; the request has no effect.
        message: Message of that answer.
        body: The answer as a proxy or another server would send it, instead of the message.
        headers: Headers of that answer.
        drop: `request`: the connection breaks before the request has an effect; `response`: after it; `body`: within
            the body.
        times: Number of requests.
        skip: Number of matching requests before them, which get their answer.
    """

    method: str = ""
    path: str = ""
    status: int = 0
    message: str = "broken on purpose"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: str = ""
    times: int = 1
    skip: int = 0


def uploaded(request: Request) -> str:
    """The file of a multipart form."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    for part in BytesParser().parsebytes(head + request.body).get_payload():
        if part.get_param("name", header="content-disposition") == "uploadfile":
            return part.get_payload(decode=True).decode()
    raise UploadError(400, "Failed to read pipeline from file")


def as_bytes(log: str | bytes) -> bytes:
    return log if isinstance(log, bytes) else log.encode()


class Handler(BaseHTTPRequestHandler):
    """Reads requests, fails those that match an injected error, and passes the others on."""

    injected_errors: list[InjectedError]
    requests: list[Request]
    answer: Callable[[Request], tuple[int, str, bytes]]
    lock: threading.Lock
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def serve(self) -> None:
        parts = urlsplit(self.path)
        body: Any = self.rfile.read(int(self.headers.get("content-length", 0)))
        if "json" in self.headers.get("content-type", "") and body:
            body = json.loads(body)
        headers = {key.lower(): value for key, value in self.headers.items()}
        request = Request(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
        with self.lock:
            error = self._injected_error(request)
        if error and error.drop == "request":
            self.requests.append(request)
            return self._drop_connection()
        if error and error.status:
            self.requests.append(request)
            answer = error.body
            if answer is None:
                answer = json.dumps(ApiError(error.status, error.message).body()).encode()
            return self._reply(error.status, "application/json", answer, error.headers)
        with self.lock:
            status, kind, content = type(self).answer(request)
        if error and error.drop == "response":
            return self._drop_connection()
        if error and error.drop == "body":
            self._reply(status, kind, content + b"\n", send=content)
            return self._drop_connection()
        return self._reply(status, kind, content)

    def _injected_error(self, request: Request) -> InjectedError | None:
        for error in self.injected_errors:
            if error.times and error.method in ("", request.method) and re.search(error.path, request.path):
                if error.skip:
                    error.skip -= 1
                    continue
                error.times -= 1
                return error
        return None

    def _drop_connection(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _reply(
        self,
        status: int,
        kind: str,
        content: bytes,
        headers: Mapping[str, str] | None = None,
        send: bytes | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": kind, "Content-Length": str(len(content))} | dict(headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content if send is None else send)
