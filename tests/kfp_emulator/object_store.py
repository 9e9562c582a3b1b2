"""An object store in a folder; uploads and downloads as the launcher's (backend/src/v2/objectstore)."""

import shutil
from collections import Counter
from pathlib import Path

SCHEMES = ("minio", "s3", "gs")


def local_path(uri: str) -> str | None:
    """An artifact's path in a container: LocalPathForURI of launcher_v2.go; None for a scheme that KFP lacks."""
    scheme, _, rest = uri.partition("://")
    return f"/{'gcs' if scheme == 'gs' else scheme}/{rest}" if scheme in SCHEMES and rest else None


class ObjectStore:
    """Objects as files ROOT/SCHEME/BUCKET/KEY; like any object store it has no empty folders.

    `moved` counts the bytes that were uploaded to and downloaded from each URI.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.moved: Counter[str] = Counter()

    def path(self, uri: str) -> Path:
        """The file or folder behind a URI."""
        if local_path(uri) is None:
            raise ValueError(f"{uri}: not in an object store that KFP supports ({', '.join(SCHEMES)})")
        return self.root / uri.replace("://", "/", 1)

    def upload(self, source: Path, uri: str) -> None:
        """UploadBlob: a file, or all files in a folder; FileNotFoundError if neither exists."""
        if source.is_dir():
            for file in (path for path in sorted(source.rglob("*")) if path.is_file()):
                self._copy(file, self.path(uri) / file.relative_to(source), uri)
        else:
            self._copy(source, self.path(uri), uri)

    def download(self, uri: str, target: Path) -> None:
        """DownloadBlob: an object that does not exist is no error and leaves no target."""
        source = self.path(uri)
        if source.is_file():
            self._copy(source, target, uri)
        for file in (path for path in source.rglob("*") if path.is_file()):
            self._copy(file, target / file.relative_to(source), uri)

    def _copy(self, source: Path, target: Path, uri: str) -> None:
        if not source.exists():
            raise FileNotFoundError(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        self.moved[uri] += target.stat().st_size
