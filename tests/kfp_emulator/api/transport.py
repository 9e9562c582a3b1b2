"""HTTP below the KFP API server: what a request was, and what may go wrong on the way."""

import json
import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from kfp_emulator.api.state import ApiError, UploadError


@dataclass
class Request:
    """What a client sent; `body` is parsed if it is JSON."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass
class Trouble:
    """What becomes of the next requests that match."""

    method: str
    path: str
    status: int
    message: str
    lose: str
    times: int


def uploaded(request: Request) -> str:
    """The file of a multipart form."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    for part in BytesParser().parsebytes(head + request.body).get_payload():
        if part.get_param("name", header="content-disposition") == "uploadfile":
            return part.get_payload(decode=True).decode()
    raise UploadError(400, "Failed to read pipeline from file")


class Handler(BaseHTTPRequestHandler):
    """Reads requests, spoils those that a trouble names, and has the others answered."""

    troubles: list[Trouble]
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
            trouble = self._trouble(request)
        if trouble and trouble.lose == "request":
            self.requests.append(request)
            return self._break()
        if trouble and trouble.status:
            self.requests.append(request)
            answer = json.dumps(ApiError(trouble.status, trouble.message).body()).encode()
            return self._reply(trouble.status, "application/json", answer)
        with self.lock:
            status, kind, content = type(self).answer(request)
        if trouble and trouble.lose == "answer":
            return self._break()
        return self._reply(status, kind, content)

    def _trouble(self, request: Request) -> Trouble | None:
        for trouble in self.troubles:
            if trouble.times and trouble.method in ("", request.method) and re.search(trouble.path, request.path):
                trouble.times -= 1
                return trouble
        return None

    def _break(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _reply(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
