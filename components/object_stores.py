"""Lists objects in s3:// and gs:// with the stores' own clients, which report an error within a minute.

Beam and TensorFlow, which read the objects later, would retry for many minutes without a message.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from models.errors import InputError

# Seconds to connect, and to wait for a response; each request is tried twice.
_CONNECT_TIMEOUT, _READ_TIMEOUT = 5, 15

# Seconds until a line names the store that a command waits for, and until it stops waiting: clients look for
# credentials, refresh them and retry, each with timeouts of its own.
_MESSAGE_AFTER, _TOTAL_TIMEOUT = 3, 55

_logger = logging.getLogger(__name__)
logging.getLogger("botocore.credentials").setLevel(logging.WARNING)  # else each client logs where it found them


@dataclass(frozen=True)
class StoredObject:
    """An object: path, size in bytes, time of writing in seconds since 1970, and a checksum or generation."""

    path: str
    size: int
    written: float
    version: str


def list_objects(prefix: str, option: str) -> list[StoredObject]:
    """All objects whose paths begin with `prefix`, without placeholders of folders.

    Args:
        prefix: begins with s3:// or gs://.
        option: the setting that holds the path, for the error message.

    Raises:
        InputError: the scheme is another one, or the store cannot be read; names the bucket and what to set.
    """
    scheme, bucket, key = _split(prefix, option)
    store = _Store(scheme, bucket, option)
    with store.explained_errors():
        pages = store.call(lambda: _with_first_loaded(_PAGES[scheme](bucket, key)))
        return [stored for page in pages for stored in page if not stored.path.endswith("/")]


def find_object(path: str, option: str) -> StoredObject | None:
    """The object with this path; None if there is none, or access to it is denied. See `list_objects`."""
    scheme, bucket, key = _split(path, option)
    if not key:
        return None
    store = _Store(scheme, bucket, option)
    with store.explained_errors():
        return store.call(lambda: _HEADS[scheme](bucket, key))


def require_access(path: str, option: str) -> None:
    """Checks access to a path before another library reads it; raises what `list_objects` raises.

    A local path is not checked.
    """
    if "://" not in path:
        return
    scheme, bucket, key = _split(path, option)
    store = _Store(scheme, bucket, option)
    with store.explained_errors():
        store.call(lambda: next(_PAGES[scheme](bucket, key), []))


class _WithoutCredentialsError(Exception):
    """A request without credentials to Google's store failed; `reason` is the error."""

    def __init__(self, reason: Exception):
        super().__init__(str(reason))
        self.reason = reason


class _Store:
    def __init__(self, scheme: str, bucket: str, option: str):
        self._url, self._option = f"{scheme}://{bucket}", option
        self._host, self._variables = _host_and_variables(scheme)

    def call(self, request: Callable[[], Any]) -> Any:
        """Returns the response to a request, or raises its error; logs a long wait.

        Raises:
            TimeoutError: there is no response after _TOTAL_TIMEOUT.
        """
        responses: list[Any] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                responses.append(request())
            except BaseException as error:
                errors.append(error)

        # A daemon thread: the program does not wait for it when it ends.
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(_MESSAGE_AFTER)
        if thread.is_alive():
            _logger.warning("%s: waiting for %s ...", self._url, self._host)
            thread.join(_TOTAL_TIMEOUT - _MESSAGE_AFTER)
        if errors:
            raise errors[0]
        if not responses:
            raise TimeoutError
        return responses[0]

    @contextmanager
    def explained_errors(self) -> Iterator[None]:
        """Turns an error of a client into an InputError of one line."""
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"{self._option}: {self._url}: {self._reason(error)}") from error

    def _reason(self, error: Exception) -> str:
        from botocore import exceptions as s3
        from google.api_core import exceptions as gs
        from google.auth import exceptions as google_auth
        from requests.exceptions import ConnectionError as NoConnection
        from requests.exceptions import Timeout

        if isinstance(error, _WithoutCredentialsError):
            return f"no credentials were found, set {self._variables}; without them {self._reason(error.reason)}"
        if isinstance(error, google_auth.InvalidOperation):  # 401, and no credentials to refresh
            return f"{self._host} denies access"
        unreachable = (s3.HTTPClientError, s3.ConnectionError, gs.RetryError, google_auth.TransportError)
        if isinstance(error, s3.NoCredentialsError | s3.PartialCredentialsError | google_auth.DefaultCredentialsError):
            return f"no credentials ({_line(error)}), set {self._variables}"
        if isinstance(error, (TimeoutError, NoConnection, Timeout, *unreachable)):
            return f"{self._host} cannot be reached ({_innermost(error) or f'no answer for {_TOTAL_TIMEOUT} s'})"
        if isinstance(error, google_auth.GoogleAuthError | s3.CredentialRetrievalError):
            return f"the credentials cannot be used ({_line(error)}), check {self._variables}"
        status, text = _status_and_reason(error)
        if status in (401, 403) or text in ("ExpiredToken", "InvalidToken"):
            return f"{self._host} denies access ({status} {text}), check {self._variables}"
        if status == 404:
            return f"{self._host} has no such bucket ({text})"
        return f"{self._host} cannot be listed ({text})"


def _split(path: str, option: str) -> tuple[str, str, str]:
    scheme, _, rest = path.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme not in _PAGES or not bucket:
        raise InputError(f"{option} is {path!r}, expected a local path, s3://BUCKET/... or gs://BUCKET/...")
    return scheme, bucket, key


def _host_and_variables(scheme: str) -> tuple[str, str]:
    """The server, and the environment variables with its credentials, for messages."""
    if scheme == "gs":
        variable = "STORAGE_EMULATOR_HOST"
        host = f"{os.environ[variable]} ({variable})" if variable in os.environ else "Google Cloud Storage"
        return host, "GOOGLE_APPLICATION_CREDENTIALS (or run `gcloud auth application-default login`)"
    variable = "AWS_ENDPOINT_URL_S3" if "AWS_ENDPOINT_URL_S3" in os.environ else "AWS_ENDPOINT_URL"
    host = f"{os.environ[variable]} ({variable})" if variable in os.environ else f"Amazon S3 ({variable} is not set)"
    return host, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE)"


def _line(error: BaseException) -> str:
    """The message of an error, on one line of at most 200 characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:197]}..."


def _innermost(error: BaseException) -> str:
    """The message of the innermost error that the clients have wrapped."""
    while inner := next((cause for cause in _causes(error) if isinstance(cause, BaseException)), None):
        error = inner
    return _line(error).rpartition(": ")[2]


def _causes(error: BaseException) -> list[Any]:
    # Of Google's RetryError, of urllib3's MaxRetryError, of botocore's errors, and of requests'.
    kwargs = getattr(error, "kwargs", None) or {}
    return [getattr(error, "cause", None), getattr(error, "reason", None), kwargs.get("error"), *error.args[:1]]


def _status_and_reason(error: Exception) -> tuple[int, str]:
    """The HTTP status and the reason in a store's response; status 0 if there was no response."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's ClientError
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status, response.get("Error", {}).get("Code", "") or _line(error)
    reasons = getattr(error, "errors", None)  # Google's; the error's text begins with a long address
    return int(getattr(error, "code", None) or 0), reasons[0]["message"] if reasons else _line(error)


def _with_first_loaded(pages: Iterator[list[StoredObject]]) -> Iterator[list[StoredObject]]:
    """The same pages; the first one is loaded at once, so that its error is raised here."""
    first = next(pages, [])

    def rest() -> Iterator[list[StoredObject]]:
        yield first
        yield from pages

    return rest()


def _s3() -> Any:
    import boto3
    from botocore.config import Config

    # Looks for credentials where Beam does: variables, profiles, a pod's web identity, the machine's metadata.
    retries = {"mode": "standard", "total_max_attempts": 2}
    config = Config(connect_timeout=_CONNECT_TIMEOUT, read_timeout=_READ_TIMEOUT, retries=retries)
    return boto3.session.Session().client("s3", config=config)


def _s3_pages(bucket: str, prefix: str) -> Iterator[list[StoredObject]]:
    for page in _s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        if "KeyCount" not in page:  # for example a web page: botocore accepts any XML
            raise ValueError("it does not answer as S3 does")
        yield [
            StoredObject(
                f"s3://{bucket}/{entry['Key']}",
                entry["Size"],
                entry["LastModified"].timestamp(),
                entry.get("ETag", ""),
            )
            for entry in page.get("Contents", [])
        ]


def _s3_head(bucket: str, key: str) -> StoredObject | None:
    from botocore.exceptions import ClientError

    try:
        head = _s3().head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        # A response to HEAD has no body with the reason. Without the right to list, a missing object is 403, not 404.
        if 400 <= _status_and_reason(error)[0] < 500:
            return None
        raise
    if "LastModified" not in head:
        raise ValueError("it does not answer as S3 does")
    path = f"s3://{bucket}/{key}"
    return StoredObject(path, head["ContentLength"], head["LastModified"].timestamp(), head.get("ETag", ""))


@contextmanager
def _gs() -> Iterator[Any]:
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud import storage

    if "STORAGE_EMULATOR_HOST" in os.environ:
        yield storage.Client.create_anonymous_client()
        return
    try:
        credentials, project = google.auth.default(scopes=storage.Client.SCOPE)
    except DefaultCredentialsError:
        if "GOOGLE_APPLICATION_CREDENTIALS" in os.environ:
            raise
    else:
        yield storage.Client(project, credentials)
        return
    try:
        yield storage.Client.create_anonymous_client()
    except Exception as error:
        raise _WithoutCredentialsError(error) from error
    _warn_public_only()


@cache
def _warn_public_only() -> None:
    _logger.warning("no Google credentials: public buckets can be read, but Beam looks for them for a minute first")


def _gs_limits() -> dict[str, Any]:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return {"timeout": (_CONNECT_TIMEOUT, _READ_TIMEOUT), "retry": DEFAULT_RETRY.with_timeout(2 * _CONNECT_TIMEOUT)}


def _gs_pages(bucket: str, prefix: str) -> Iterator[list[StoredObject]]:
    fields = "items(name,size,updated,generation),nextPageToken"
    with _gs() as client:
        for page in client.list_blobs(bucket, prefix=prefix, fields=fields, **_gs_limits()).pages:
            yield [_gs_object(bucket, blob) for blob in page]


def _gs_head(bucket: str, key: str) -> StoredObject | None:
    from google.api_core.exceptions import Forbidden, Unauthorized

    with _gs() as client:
        try:
            blob = client.bucket(bucket).get_blob(key, **_gs_limits())
        except (Forbidden, Unauthorized):
            return None
    return _gs_object(bucket, blob) if blob else None


def _gs_object(bucket: str, blob: Any) -> StoredObject:
    return StoredObject(f"gs://{bucket}/{blob.name}", blob.size, blob.updated.timestamp(), str(blob.generation))


_PAGES = {"s3": _s3_pages, "gs": _gs_pages}
_HEADS = {"s3": _s3_head, "gs": _gs_head}
