"""Files mapped into memory for reading."""

import mmap
import resource
from collections.abc import Sequence
from functools import lru_cache


class MappedFiles:
    """Maps files when they are first read: their pages are the system's cache, not memory of the process.

    Args:
        paths: local files, none of them empty when it is read.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        # A map keeps its file open, and processes often start with a limit of 1,024; of half of it we leave our hands.
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = max(soft, 2 * len(paths))
        if wanted > soft:
            soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.open = lru_cache(maxsize=soft // 2)(self._map)

    def _map(self, number: int) -> memoryview:
        """The bytes of the file at this place in `paths`."""
        with open(self._paths[number], "rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
