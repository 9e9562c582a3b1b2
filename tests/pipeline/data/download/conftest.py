"""A local mirror with configurable faults and a log of its responses."""

import hashlib
import json
import random
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.data.download.client import RetryPolicy
from pipeline.data.download.download import Listener, Summary, download
from pipeline.data.download.published import Addresses, Partition, Share

# Short waits, and a timeout that even a busy machine does not reach.
QUICK = RetryPolicy(timeout=300, failures=4, first_wait=0.01, longest_wait=0.04, longest_asked_wait=0.5)


@dataclass
class Request:
    method: str
    path: str
    begin: int  # of the requested range
    status: int = 0
    sent: int = 0
    at: float = field(default_factory=time.monotonic)


class Handler(BaseHTTPRequestHandler):
    server: "Server"

    def do_HEAD(self) -> None:
        self.serve(Request("HEAD", self.path, 0), body=False)

    def do_GET(self) -> None:
        requested = self.headers.get("Range", "bytes=0-")
        self.request_ = Request("GET", self.path, int(requested.removeprefix("bytes=").removesuffix("-")))
        faults = self.server.mirror.faults[self.path]
        if faults:
            self.server.mirror.log.append(self.request_)
            faults.popleft()(self)
        else:
            self.serve(self.request_)

    def serve(self, request: Request, body: bool = True) -> None:
        self.server.mirror.log.append(request)
        content = self.server.mirror.files.get(self.path)
        if content is None:
            return self.answer(request, 404)
        if not request.begin or self.server.mirror.ignores_ranges:
            return self.answer(request, 200, content, body=body)
        if request.begin >= len(content):
            return self.answer(request, 416, headers={"Content-Range": f"bytes */{len(content)}"})
        headers = {"Content-Range": f"bytes {request.begin}-{len(content) - 1}/{len(content)}"}
        return self.answer(request, 206, content[request.begin :], headers)

    def answer(
        self,
        request: Request,
        status: int,
        content: bytes = b"",
        headers: dict[str, str] | None = None,
        body: bool = True,
        length: int | None = None,
    ) -> None:
        request.status = status
        self.send_response(status)
        for name, value in {"Content-Length": str(length or len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.write(request, content)

    def write(self, request: Request, content: bytes) -> None:
        for begin in range(0, len(content), 4096):
            piece = content[begin : begin + 4096]
            request.sent += len(piece)  # before the client can receive it and read the log
            self.wfile.write(piece)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    mirror: "Mirror"
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores the errors of killed clients."""


Fault = Callable[[Handler], None]


class Mirror:
    """Published files, and the faults of the next requests for each."""

    VOCABULARY = "/youtube8m/csv/2/vocabulary.csv"

    def __init__(self, url: str) -> None:
        self.url = url
        names = b"Index,TrainVideoCount,KnowledgeGraphId,Name\n0,5,/m/a,Game\n1,3,/m/b,Guitar\n"
        self.files: dict[str, bytes] = {self.VOCABULARY: names}
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.ignores_ranges = False
        self.log: list[Request] = []
        self.release = threading.Event()

    def publish(self, ids: list[str], partition: str = "2/video/train", size: int = 20_000) -> dict[str, bytes]:
        """Publishes shards of a partition and its plan; returns their bytes by published name."""
        version, level, part = partition.split("/")
        shards = {f"{part}{i}.tfrecord": random.Random(partition + i).randbytes(size) for i in ids}
        self.files |= {f"/{partition}/{name}": content for name, content in shards.items()}
        plan = {"files": {name: hashlib.md5(content).hexdigest() for name, content in shards.items()}}
        self.files[f"/{version}/download_plans/{level}_{part}.json"] = json.dumps(plan).encode()
        return shards

    def breaks(self, path: str, *faults: Fault) -> None:
        self.faults[path].extend(faults)

    def gets(self, path: str = "") -> list[Request]:
        """The GET requests for shards, or for one path."""
        return [r for r in self.log if r.method == "GET" and (r.path == path if path else r.path.endswith(".tfrecord"))]

    # Faults: each responds to one request.

    def drops(self, after: int) -> Fault:
        """Closes the connection after a number of bytes of the body."""

        def fault(handler: Handler) -> None:
            content = self.files[handler.path][handler.request_.begin :]
            ranged = {"Content-Range": f"bytes {handler.request_.begin}-"} if handler.request_.begin else {}
            handler.answer(handler.request_, 206 if ranged else 200, content[:after], ranged, length=len(content))

        return fault

    def sends(self, content: bytes, length: int | None = None, status: int = 200, **headers: str) -> Fault:
        """Sends other bytes, perhaps with a wrong length."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return lambda handler: handler.answer(handler.request_, status, content, named, length=length)

    def says(self, status: int, **headers: str) -> Fault:
        return self.sends(b"", status=status, **headers)

    def stalls(self, after: int) -> Fault:
        """Sends a number of bytes, then nothing until `release` is set."""

        def fault(handler: Handler) -> None:
            content = self.files[handler.path][handler.request_.begin :]
            handler.answer(handler.request_, 200, content[:after], length=len(content))
            handler.wfile.flush()
            self.release.wait()
            handler.write(handler.request_, content[after:])

        return fault


@pytest.fixture(autouse=True)
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    server = Server(("127.0.0.1", 0), Handler)
    server.mirror = Mirror(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.mirror
    server.mirror.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


class Listened(Listener):
    """Keeps all lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def on_file(self, line: str) -> None:
        self.lines.append(line)

    def on_retry(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def listened() -> Listened:
    return Listened()


@pytest.fixture
def fetch(mirror: Mirror, tmp_path: Path, listened: Listened) -> Callable[..., Summary]:
    """Downloads into `tmp_path / "out"`; further arguments replace fields of QUICK."""

    def call(*partitions: str, share: str = "1/1", workers: int = 4, **policy: float) -> Summary:
        wanted = [Partition(*partition.split("/")) for partition in partitions or ("2/video/train",)]
        addresses = Addresses.of_base_url(mirror.url)
        return download(
            wanted, tmp_path / "out", Share.parse(share), addresses, workers, replace(QUICK, **policy), listened
        )

    return call
