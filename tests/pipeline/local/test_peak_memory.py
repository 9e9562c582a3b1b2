"""The memory of a step that steps.json states."""

import mmap
import time
from pathlib import Path

from pipeline.local.runner import SAMPLE_SECONDS, _PeakMemory

MEGABYTES = 96


def peak_with(path: Path, *, mapped: bool) -> int:
    """The peak while a process reads a file, mapped or into its own memory."""
    with path.open("rb") as file, _PeakMemory() as memory:
        time.sleep(2 * SAMPLE_SECONDS)
        if mapped:
            content: mmap.mmap | bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            pages = [content[place] for place in range(0, len(content), mmap.PAGESIZE)]
            assert len(pages) == MEGABYTES * 2**20 / mmap.PAGESIZE
        else:
            content = file.read()
        time.sleep(2 * SAMPLE_SECONDS)
        del content
    return memory.peak_mb


def test_pages_of_mapped_files_are_not_memory_of_a_step(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(b"x" * MEGABYTES * 2**20)
    mapped, read = peak_with(path, mapped=True), peak_with(path, mapped=False)
    assert read - mapped > 0.8 * MEGABYTES
