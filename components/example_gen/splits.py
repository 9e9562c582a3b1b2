"""Which split a video goes to: by its file, by its id, or as the thesis did."""

import hashlib
import random
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from models.errors import InputError, quote

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

_ALLOWED = (
    "file:80/10/10, id:80/10/10 (any shares below 1,000,000), thesis-video or thesis-frame; with test data two shares"
)


@dataclass(frozen=True)
class SplitPolicy:
    """A parsed `--split`: the unit that is split and the shares of train, validation and test."""

    kind: Literal["file", "id", "thesis-video", "thesis-frame"]
    shares: tuple[int, ...]

    @classmethod
    def parse(cls, text: str, has_test_data: bool) -> "SplitPolicy":
        """Reads a policy such as `file:80/10/10`.

        Args:
            text: the policy; shares are positive whole numbers of any sum.
            has_test_data: whether the test split has files of its own; then there are two shares.

        Raises:
            InputError: an unknown policy, or another number of shares.
        """
        if text in ("thesis-video", "thesis-frame"):
            if has_test_data:
                raise InputError(f"split {text} chooses the test files itself: leave out the test data, or use file:")
            return cls("thesis-video", (80, 20)) if text == "thesis-video" else cls("thesis-frame", (80, 10, 10))
        match = re.fullmatch(r"(file|id):(\d{1,6}(?:/\d{1,6})*)", text)
        shares = tuple(int(share) for share in match[2].split("/")) if match else ()
        if not match or 0 in shares or len(shares) != (2 if has_test_data else 3):
            raise InputError(f"split is {quote(text)}, allowed: {_ALLOWED}")
        return cls("file" if match[1] == "file" else "id", shares)

    def of_id(self, video_id: bytes) -> Split:
        """The split of a video by the hash of its id: the same on every machine and for every file layout."""
        place = int.from_bytes(hashlib.sha256(video_id).digest()[:8], "big") % sum(self.shares)
        for split, share in zip(SPLITS, self.shares, strict=False):
            if place < share:
                return split
            place -= share
        raise AssertionError("shares cover every place")

    def of_files(self, files: list[str], seed: int) -> dict[str, Split | None]:
        """The split of each file, or None where its videos are split by id.

        Raises:
            InputError: fewer files than splits, or files without the names that the thesis' policies need. Files
                `test*`, whose videos have no labels, are left out.
        """
        files = sorted(files)
        if self.kind == "id":
            return dict.fromkeys(files)
        if self.kind == "file":
            return self._deal(files, seed)
        train = [file for file in files if PurePosixPath(file).name.startswith("train")]
        validate = [file for file in files if PurePosixPath(file).name.startswith("validate")]
        if not train or not validate:
            raise InputError(
                f"split {self.kind} needs files named train* and validate*, found {len(train)} and {len(validate)}"
            )
        known = {*train, *validate}
        if unknown := [file for file in files if file not in known and not PurePosixPath(file).name.startswith("test")]:
            raise InputError(
                f"split {self.kind} goes by the names train* and validate*, found {unknown[0]!r} too: use file: or id:"
            )
        if self.kind == "thesis-video":
            test: dict[str, Split | None] = dict.fromkeys(validate, SPLITS[2])
            return self._deal(train, seed) | test
        random.Random(seed).shuffle(train)
        return self._deal(sorted(validate + train[: max(1, round(len(train) / 10))]), seed)

    def _deal(self, files: list[str], seed: int) -> dict[str, Split | None]:
        if len(files) < len(self.shares):
            raise InputError(
                f"split by file needs at least {len(self.shares)} files, found {len(files)}: use id:80/10/10"
            )
        shuffled = list(files)
        random.Random(seed).shuffle(shuffled)
        # Every split gets at least one file; the first gets the remainder of the rounding.
        counts = [max(1, round(len(files) * share / sum(self.shares))) for share in self.shares[1:]]
        counts = [len(files) - sum(counts), *counts]
        while counts[0] < 1:
            largest = counts.index(max(counts))
            counts[0], counts[largest] = counts[0] + 1, counts[largest] - 1
        dealt: dict[str, Split | None] = {}
        for split, count in zip(SPLITS, counts, strict=False):
            for _ in range(count):
                dealt[shuffled.pop()] = split
        return dealt
