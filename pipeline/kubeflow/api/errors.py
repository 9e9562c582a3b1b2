"""Failed requests to the API, each described in one line."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from kfp_server_api import ApiException, OpenApiException
from urllib3.exceptions import HTTPError

from models.errors import InputError
from pipeline.kubeflow.api.credentials import TOKEN

NOT_KFP = "not an answer of Kubeflow Pipelines, perhaps a login page"

# Characters of a plain text that may be a reason.
MAX_REASON = 500
# What urllib3 prepends to the cause of an error.
_PREFIX = re.compile(r"((<.*>|\w+\(.*\)): )?(Failed to establish a new connection: )?(\[Errno -?\d+\] )?")


class ApiError(InputError):
    """A failed request to the API; `status` is the HTTP status, 0 if there was no response."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def api_errors(endpoint: str, purpose: str) -> Iterator[None]:
    """Turns the errors of a request, and of reading its answer, into an ApiError.

    Args:
        endpoint: the server's address for messages.
        purpose: completes "cannot" in messages.
    """
    try:
        yield
    except ApiException as error:
        status, reason = error.status or 0, _reason(error)
    except HTTPError as error:
        status, reason = 0, _innermost(error)
    except (InputError, OpenApiException):  # already one line; a wrong call of the generated API
        raise
    except (ValueError, TypeError, AttributeError, LookupError) as error:  # its code, or ours, expects other JSON
        # It also fails on an error without a body, or with one that is not UTF-8.
        cause = error.__context__
        status, reason = (cause.status or 0, _reason(cause)) if isinstance(cause, ApiException) else (200, NOT_KFP)
    else:
        return
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
    cause = getattr(error, "reason", None) or (error.args and error.args[-1])
    if isinstance(cause, BaseException):
        return _innermost(cause)
    return _PREFIX.sub("", str(error), count=1) or type(error).__name__
