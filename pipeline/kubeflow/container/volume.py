"""The volume on which large artifacts stay: where each is written, and how it becomes visible."""

import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.errors import InputError
from models.whole_files import PARTIAL
from pipeline.kubeflow.container.executor_input import ExecutorInput
from pipeline.kubeflow.container.journal import Journal, not_writable
from pipeline.kubeflow.container.pointers import POINTER, Pointer


@dataclass(frozen=True)
class StepFolder:
    """The place of a step's artifacts: `<volume>/<pipeline>/<run>/<step>`.

    Attributes:
        volume: folder of large artifacts, on a volume that all steps mount.
        pipeline: name of the pipeline.
        run: id of the run.
        step: name of the step.
    """

    volume: Path
    pipeline: str
    run: str
    step: str

    @classmethod
    def of(cls, executor_input: ExecutorInput, step: str, volume: Path) -> "StepFolder":
        """The place of a step in the run to which the launcher's paths belong.

        They are `<root>/<pipeline>/<run>/<step>/<id>/...`, the same for all attempts.

        Raises:
            InputError: they are not.
        """
        above, found, _ = str(executor_input.output_file).rpartition(f"/{step}/")
        above, _, run = above.rpartition("/")
        if not found or not run:
            raise InputError(f"{executor_input.output_file} is not below PIPELINE/RUN/{step}/, as KFP 2.15 has it")
        return cls(volume, Path(above).name, run, step)

    @property
    def path(self) -> Path:
        """The folder."""
        return self.volume / self.pipeline / self.run / self.step

    @contextmanager
    def writing(self, outputs: Iterable[str]) -> Iterator[dict[str, Path]]:
        """Makes a folder for each output of an attempt, with a name that no reader looks for.

        The folders are removed if the block fails; a killed attempt leaves them to `yt8m gc`.

        Raises:
            InputError: the volume cannot be written.
        """
        folders = {output: self.path / f"{PARTIAL}{output}-{uuid.uuid4().hex[:8]}" for output in outputs}
        try:
            for folder in folders.values():
                folder.mkdir(parents=True)
        except OSError as error:
            raise not_writable(self.volume, error) from None
        try:
            yield folders
        except BaseException:
            for folder in folders.values():
                shutil.rmtree(folder, ignore_errors=True)
            raise

    def publish(self, written: Mapping[str, Path], copies: Mapping[str, Path], generation: str) -> None:
        """Gives whole outputs their names, enters them in the journal and writes their pointers.

        In this order: whatever the launcher uploads, and KFP's cache may hand out, is in the journal, and whatever is
        there is whole.

        Args:
            written: folders of the outputs by name, of `writing`.
            copies: folders that the launcher uploads, by name.
            generation: see `Journal`; "" for a step that KFP never takes from its cache.
        """
        for output, folder in written.items():
            whole = folder.with_name(folder.name.removeprefix(PARTIAL))
            folder.rename(whole)
            pointer = Pointer.to(whole, self.volume)
            if generation:
                Journal(self.volume).enter(generation, self.run, output, pointer)
            pointer.write(copies[output] / POINTER)
