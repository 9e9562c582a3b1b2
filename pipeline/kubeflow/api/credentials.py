"""Credentials for the API: a bearer token, or what kubectl uses."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

from models.errors import InputError

# Environment variables: the token's is ours, its file's is kfp's.
TOKEN, TOKEN_FILE = "KF_PIPELINES_TOKEN", "KF_PIPELINES_SA_TOKEN_PATH"

# Where Kubernetes mounts a token for Kubeflow Pipelines.
MOUNTED_TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")

# What a header of HTTP can hold; a token has no spaces.
_BEARER_TOKEN = re.compile(r"[\x21-\x7e]+")


def token_credentials(token_file: Path | None) -> dict[str, Any]:
    """The token, as arguments of `kfp.Client`: of the file, of the environment, or as Kubernetes mounts it.

    Raises:
        InputError: there is no token where one is expected. Messages never show what is there.
    """
    if token_file is None and (token := os.environ.get(TOKEN, "").strip()):
        _require_token(token, f"{TOKEN} is set to what")
        return {"existing_token": token}
    file = token_file or (MOUNTED_TOKEN if MOUNTED_TOKEN.exists() else None)
    if file is None:
        return {}
    try:
        token = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--token-file is {str(file)!r}: {error}, expected a file with a bearer token") from None
    if not token:
        raise InputError(f"--token-file is {str(file)!r}, which is empty, expected a bearer token")
    _require_token(token, f"--token-file is {str(file)!r}, which")
    return {"credentials": ServiceAccountTokenVolumeCredentials(str(file))}


def kubectl_cluster() -> str:
    """Address of the API server of kubectl's cluster.

    Raises:
        InputError: kubectl's configuration has no cluster, or its credentials cannot be read.
    """
    configuration = kubernetes.client.Configuration()
    with _logged_errors() as errors:
        try:
            kubernetes.config.load_kube_config(client_configuration=configuration)
        except Exception as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise InputError(
                f"no --endpoint, no KF_PIPELINES_ENDPOINT, and kubectl's configuration names no cluster ({reason}): "
                "give the address of Kubeflow Pipelines, such as http://localhost:8080"
            ) from None
    if errors:
        raise InputError(f"kubectl's credentials cannot be read: {errors[0]}; `kubectl get pods` must work")
    return str(configuration.host)


def trim_tokens(configuration: Any) -> None:
    """Removes the line end of a token's file, as kubectl does; a header of HTTP cannot hold it."""
    configuration.api_key = {name: value.strip() for name, value in configuration.api_key.items()}


def _require_token(token: str, source: str) -> None:
    if not _BEARER_TOKEN.fullmatch(token):
        raise InputError(f"{source} is no bearer token: it has spaces, several lines or characters beyond ASCII")


@contextmanager
def _logged_errors() -> Iterator[list[str]]:
    """First lines of the errors that are logged: `kube_config` of kubernetes 26.1.0 only logs a plugin's failure."""
    errors: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: errors.extend(record.getMessage().splitlines()[:1])  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield errors
    finally:
        logging.getLogger().removeHandler(handler)
