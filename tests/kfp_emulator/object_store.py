"""A folder that plays the object store, copied to and from as the launcher does (backend/src/v2/objectstore)."""

import shutil
from pathlib import Path

SCHEMES = ("minio", "s3", "gs")


def local_path(uri: str) -> str | None:
    """Where a container finds an artifact: LocalPathForURI of launcher_v2.go; None for a store KFP does not know."""
    scheme, _, rest = uri.partition("://")
    return f"/{'gcs' if scheme == 'gs' else scheme}/{rest}" if scheme in SCHEMES and rest else None


class ObjectStore:
    """Objects as files under ROOT/SCHEME/BUCKET/KEY; knows no empty folders, like any object store."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, uri: str) -> Path:
        """The file or folder that holds what lies under a URI."""
        if local_path(uri) is None:
            raise ValueError(f"{uri}: not in an object store that KFP knows ({', '.join(SCHEMES)})")
        return self.root / uri.replace("://", "/", 1)

    def upload(self, source: Path, uri: str) -> None:
        """UploadBlob: a file, or all files below a folder; FileNotFoundError where there is nothing."""
        if source.is_dir():
            for file in (path for path in sorted(source.rglob("*")) if path.is_file()):
                self._copy(file, self.path(uri) / file.relative_to(source))
        else:
            self._copy(source, self.path(uri))

    def download(self, uri: str, target: Path) -> None:
        """DownloadBlob: what is missing in the store is missing in the target, without an error."""
        source = self.path(uri)
        if source.is_file():
            self._copy(source, target)
        for file in (path for path in source.rglob("*") if path.is_file()):
            self._copy(file, target / file.relative_to(source))

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        if not source.exists():
            raise FileNotFoundError(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
