"""What was written to the volume of large artifacts, so that KFP's cache is not asked for what is gone.

KFP decides what it takes from its cache before a container starts, and does not look at artifacts. So the key of its
cache has a part, the generation, that the first step of a run changes once an artifact is gone.
"""

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from models.errors import InputError, reason
from models.settings import Settings
from models.whole_files import write_file
from pipeline.kubeflow.container.pointers import Pointer, UnreadableError

FOLDER = "journal"

# Prefix of the name of a folder in it, which is the name of the volume.
_ID = "id-"


class RunEntry(Settings):
    """What a run may read of other runs.

    Attributes:
        push_directory: where it pushes models.
        artifacts: paths, relative to the volume, of those that KFP's cache may hand it.
    """

    push_directory: str
    artifacts: tuple[str, ...]


@dataclass(frozen=True)
class Journal:
    """The folder `journal` of a volume.

    `<step>/<settings>/<number>/<run>.<output>.json` is the pointer to what the step wrote in that run, for settings of
    that hash: `<step>/<settings>/<number>` is the generation, an input of the step. What KFP's cache hands out for a
    generation was written in it. `runs/<run>.json` is a RunEntry, `id-...` names the volume: another one, or one that
    was emptied, shares no generation. Entries stay when artifacts are removed, as KFP's cache keeps theirs.

    Attributes:
        volume: folder of large artifacts.
    """

    volume: Path

    @property
    def folder(self) -> Path:
        """Its folder."""
        return self.volume / FOLDER

    def generation(self, step: str, settings: str) -> str:
        """The first generation of a step with these settings whose artifacts are all there, as they were written.

        Args:
            step: its name.
            settings: the settings that it reads.

        Raises:
            InputError: the volume cannot be read or written.
        """
        key = hashlib.sha256(f"{self._volume_id()}\0{settings}".encode()).hexdigest()[:16]
        names = (f"{step}/{key}/{number}" for number in count())
        return next(name for name in names if all(map(self._is_whole, self._entries(name))))

    def enter(self, generation: str, run: str, output: str, pointer: Pointer) -> None:
        """Records what a step wrote, in place of what an earlier attempt in the same run wrote and did not hand on."""
        file = self.folder / generation / f"{run}.{output}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        pointer.write(file)

    def enter_run(self, run: str, push_directory: str, generations: Iterable[str]) -> None:
        """Records what a run may take from KFP's cache, for `yt8m gc`."""
        paths = [Pointer.read(file).path for generation in generations for file in self._entries(generation)]
        entry = RunEntry(push_directory=push_directory, artifacts=tuple(paths))
        self._run_entry(run).parent.mkdir(parents=True, exist_ok=True)
        write_file(self._run_entry(run), entry.model_dump_json(indent=1))

    def runs(self) -> dict[str, RunEntry]:
        """The entries of all runs, by id.

        Raises:
            InputError: one is damaged.
        """
        entries = {}
        for file in sorted(self._run_entry("*").parent.glob("*.json")):
            try:
                entries[file.stem] = RunEntry.model_validate_json(file.read_text("utf-8"))
            except ValueError:
                raise InputError(f"{file} is no entry of a run: remove it if that run has ended") from None
        return entries

    def began(self, run: str) -> float:
        """When a run entered itself, in seconds since 1970."""
        return self._run_entry(run).stat().st_mtime

    def _run_entry(self, run: str) -> Path:
        return self.folder / "runs" / f"{run}.json"

    def _entries(self, generation: str) -> list[Path]:
        return sorted((self.folder / generation).glob("*.json"))

    def _is_whole(self, entry: Path) -> bool:
        try:
            Pointer.read(entry).verify(self.volume)
        except UnreadableError:
            raise
        except InputError:
            return False
        return True

    def _volume_id(self) -> str:
        """The volume's name; the first to ask chooses it. Of two that ask at once, later ones agree on one."""
        try:
            if not self._ids():
                (self.folder / f"{_ID}{uuid.uuid4().hex}").mkdir(parents=True)
            return self._ids()[0]
        except OSError as error:
            raise not_writable(self.volume, error) from None

    def _ids(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob(f"{_ID}*"))


def not_writable(volume: Path, error: OSError) -> InputError:
    """What is wrong where the folder of large artifacts cannot be written."""
    return InputError(f"cluster.artifact_directory is {volume}, which cannot be written: {reason(error)}")
