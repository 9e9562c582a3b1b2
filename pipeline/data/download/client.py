"""An HTTP client that retries dropped connections, busy servers and corrupt downloads."""

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection, InvalidURL
from io import BufferedRandom
from threading import Event
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from models.errors import plural, printable

# The most bytes of a body in memory, per connection.
CHUNK = 1 << 20

# Plans have 0.2 MB, the vocabulary 0.6 MB, shards up to 0.5 GB: anything larger is something else.
LONGEST_DOCUMENT = 32 << 20
LONGEST_SHARD = 4 << 30

NO_HEADERS: Mapping[str, str] = {}


class DownloadError(Exception):
    """Something could not be downloaded: one line with the reason."""


class Stopped(Exception):
    """The download was asked to stop."""


class TransientError(Exception):
    """A failure that a retry may cure; `wait` is the delay in seconds that the server asked for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class CorruptDownload(Exception):
    """The bytes on disk or received are not those of the file: they are discarded."""


@dataclass(frozen=True)
class RetryPolicy:
    """When to give up.

    Args:
        timeout: seconds to connect, and seconds without a byte.
        failures: failures in a row, without a new byte, after which a file fails; the seven waits between eight last
            two minutes, longer than the restart of a server.
        corrupt: complete bodies with a wrong MD5 after which a file fails.
        first_wait: seconds before the first retry; doubled before each further one, with a jitter of a half.
        longest_wait: the most seconds after doubling.
        longest_asked_wait: the most seconds that a server may ask for with Retry-After.
    """

    timeout: float = 30.0
    failures: int = 8
    corrupt: int = 3
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_asked_wait: float = 600.0


class _HttpOnly(HTTPRedirectHandler):
    """Follows no redirect to a file or an FTP server."""

    def redirect_request(
        self, request: Request, body: IO[bytes], code: int, words: str, headers: HTTPMessage, url: str
    ) -> Request | None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise HTTPError(request.full_url, code, f"redirects to {url}, allowed: http and https", headers, body)
        return super().redirect_request(request, body, code, words, headers, url)


class _Answer(HTTPResponse):
    """An answer with a bounded number of `100 Continue` before it; http.client reads them for ever."""

    def begin(self) -> None:
        self._lines_left = 100
        super().begin()

    def _read_status(self) -> tuple[str, int, str]:
        self._lines_left -= 1
        if self._lines_left < 0:
            raise HTTPException("more than 100 times 100 Continue")
        status: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
        return status


class _Http(HTTPConnection):
    response_class = _Answer


class _Https(HTTPSConnection):
    response_class = _Answer


class _HttpHandler(HTTPHandler):
    def http_open(self, request: Request) -> HTTPResponse:
        return self.do_open(_Http, request)


class _HttpsHandler(HTTPSHandler):
    def https_open(self, request: Request) -> HTTPResponse:
        return self.do_open(_Https, request)


class Client:
    """Reads from HTTP servers; many threads may share one.

    Args:
        policy: when to retry and when to give up.
        stop: once set, every call raises Stopped at its next byte or pause.
        on_bytes: called with each number of bytes received of a file, by the thread that downloads it.
        on_retry: called with a line about a failure before its retry.
    """

    def __init__(
        self, policy: RetryPolicy, stop: Event, on_bytes: Callable[[int], object], on_retry: Callable[[str], object]
    ) -> None:
        self._policy, self._stop, self._on_bytes, self._on_retry = policy, stop, on_bytes, on_retry
        self._open = build_opener(_HttpOnly, _HttpHandler, _HttpsHandler).open

    def document(self, url: str) -> bytes:
        """Downloads a small document.

        Raises:
            DownloadError: the server does not have it, keeps failing, or sends more than 32 MiB.
            Stopped: `stop` is set.
        """
        failures = 0
        while True:
            try:
                body = bytearray()
                with self._answer(url) as answer:
                    for chunk in self._chunks(answer):
                        body += chunk
                        if len(body) > LONGEST_DOCUMENT:
                            raise DownloadError(f"{url}: longer than {LONGEST_DOCUMENT >> 20} MiB")
                return bytes(body)
            except TransientError as failure:
                failures += 1
                self._pause(url, failures, failure)

    def size(self, url: str) -> int | None:
        """Size of a file in bytes by a HEAD request without retries; None if unknown."""
        try:
            with self._answer(url, method="HEAD") as answer:
                length = answer.headers["Content-Length"]
        except (DownloadError, TransientError):
            return None
        return int(length) if length and length.isdecimal() and len(length) < 19 else None

    def complete(self, stream: BufferedRandom, url: str, md5: str) -> None:
        """Appends the missing bytes of a file until its MD5 is right, the only proof that it is complete.

        Args:
            stream: opened with "a+b"; may hold the beginning of the file, which is not fetched again if the server
                supports ranges. It keeps all bytes received after a transient error, and is emptied after a wrong MD5.
            url: of the file.
            md5: the published one, hexadecimal.

        Raises:
            DownloadError: the server has no such file, keeps failing, or sends other bytes.
            Stopped: `stop` is set.
        """
        stream.seek(0)
        digest = hashlib.file_digest(stream, "md5")
        failures = corrupt = 0
        furthest = stream.tell()
        while digest.hexdigest() != md5:
            begin = stream.tell()
            try:
                with self._answer(url, {"Range": f"bytes={begin}-"} if begin else {}) as answer:
                    if begin and answer.status != 206:  # the server ignores ranges: this is the whole file
                        digest = _emptied(stream)
                    elif begin and not (answer.headers["Content-Range"] or "").startswith(f"bytes {begin}-"):
                        raise CorruptDownload(
                            f"asked from byte {begin}, sent {printable(answer.headers['Content-Range'])}"
                        )
                    for chunk in self._chunks(answer):
                        if stream.tell() + len(chunk) > LONGEST_SHARD:
                            _emptied(stream)
                            raise DownloadError(f"{url}: longer than {LONGEST_SHARD >> 30} GiB")
                        stream.write(chunk)
                        stream.flush()  # a killed process resumes after it
                        digest.update(chunk)
                        self._on_bytes(len(chunk))
                if digest.hexdigest() != md5:
                    raise CorruptDownload(f"MD5 is {digest.hexdigest()}, expected {md5}")
            except CorruptDownload as failure:
                digest = _emptied(stream)
                corrupt += 1
                if corrupt >= self._policy.corrupt:
                    raise DownloadError(f"{url}: {failure} ({corrupt} times)") from None
                self._on_retry(f"{url}: {failure}, again from the beginning")
            except TransientError as failure:
                # Only bytes beyond the furthest are progress: a server without ranges starts at 0 every time.
                failures = 1 if stream.tell() > furthest else failures + 1
                furthest = max(furthest, stream.tell())
                if digest.hexdigest() != md5:
                    self._pause(url, failures, failure)

    @contextmanager
    def _answer(self, url: str, headers: Mapping[str, str] = NO_HEADERS, method: str = "GET") -> Iterator[HTTPResponse]:
        if self._stop.is_set():
            raise Stopped
        request = Request(url, headers={"User-Agent": "yt8m-pipeline", **headers}, method=method)
        try:
            answer = self._open(request, timeout=self._policy.timeout)
        except HTTPError as error:
            error.close()
            reason = printable(" ".join(f"{error.code} {error.reason}".split()))
            if error.code == 416 and "Range" in headers:  # all bytes are on disk, and their MD5 is wrong
                raise CorruptDownload(reason) from None
            if error.code in (408, 429) or error.code >= 500:
                raise TransientError(reason, self._asked_wait(error.headers["Retry-After"])) from None
            raise DownloadError(f"{url}: {reason}") from None
        except (InvalidURL, ValueError):  # not shown: the address of a proxy may have a password
            raise DownloadError(
                f"{url}: redirects to an invalid address, or http_proxy or https_proxy is one"
            ) from None
        except (OSError, HTTPException) as error:
            raise TransientError(self._reason(error)) from None
        with answer:
            if (encoding := answer.headers["Content-Encoding"] or "identity") != "identity":
                raise DownloadError(f"{url}: comes with Content-Encoding {printable(encoding)}, expected none")
            yield answer

    def _chunks(self, answer: HTTPResponse) -> Iterator[bytes]:
        """The body as it arrives; http.client itself does not notice a body that ends too early."""
        missing = answer.length
        while missing != 0:
            if self._stop.is_set():
                raise Stopped
            try:
                chunk = answer.read1(CHUNK if missing is None else min(CHUNK, missing))
            except (OSError, HTTPException, ValueError) as error:  # ValueError: invalid length of a chunk
                raise TransientError(self._reason(error)) from None
            if not chunk:
                if missing is not None:
                    raise TransientError(f"connection closed, {plural(missing, 'byte')} missing")
                return
            if missing is not None:
                missing -= len(chunk)
            yield chunk

    def _pause(self, url: str, failures: int, failure: TransientError) -> None:
        if failures >= self._policy.failures:
            raise DownloadError(f"{url}: {failure} ({failures} times in a row)") from None
        doubled = min(self._policy.longest_wait, self._policy.first_wait * 2 ** (failures - 1))
        wait = max(failure.wait, doubled * random.uniform(0.5, 1.5))
        self._on_retry(f"{url}: {failure}, again in {wait:.2f} s")
        if self._stop.wait(wait):
            raise Stopped

    def _asked_wait(self, retry_after: str | None) -> float:
        """Seconds of a Retry-After header: a number or a date."""
        if not retry_after:
            return 0.0
        try:
            if retry_after.isdecimal():
                wait = float(retry_after)
            else:
                wait = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
        return max(0.0, min(self._policy.longest_asked_wait, wait))

    def _reason(self, error: BaseException) -> str:
        if isinstance(error, URLError) and isinstance(error.reason, BaseException):
            error = error.reason
        if isinstance(error, TimeoutError):
            return f"no byte in {self._policy.timeout:g} s"
        return printable(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def _emptied(stream: BufferedRandom) -> "hashlib._Hash":
    """Empties the stream; returns a new digest."""
    stream.seek(0)
    stream.truncate()
    return hashlib.md5()
