"""Which split a video goes to: by its file, by its id, or as the thesis did."""

import hashlib
import random
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from models.errors import InputError, quote

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

# Shares by the number of splits that the data are divided into.
_DEFAULT_SHARES = {3: "80/10/10", 2: "90/10", 1: "100"}


def default_split(own: Collection[Split]) -> str:
    """The policy without `--split`, where these splits have data of their own."""
    return f"file:{_DEFAULT_SHARES[len(SPLITS) - len(own)]}"


@dataclass(frozen=True)
class SplitPolicy:
    """A parsed `--split`: the unit that is split and the shares of `splits`, those without data of their own."""

    kind: Literal["file", "id", "thesis-video", "thesis-frame"]
    shares: tuple[int, ...]
    splits: tuple[Split, ...] = SPLITS

    @classmethod
    def parse(cls, text: str, own: Collection[Split] = ()) -> "SplitPolicy":
        """Reads a policy such as `file:80/10/10`.

        Args:
            text: the policy; shares are positive whole numbers of any sum.
            own: the splits that have data of their own; each of the others has a share.

        Raises:
            InputError: an unknown policy, or another number of shares.
        """
        splits = tuple(split for split in SPLITS if split not in own)
        own_data = f"{' and '.join(split for split in SPLITS if split in own)} data"
        if text in ("thesis-video", "thesis-frame"):
            if own:
                raise InputError(
                    f"split {text} chooses the files of all splits: leave out the {own_data}, or use file: or id:"
                )
            if text == "thesis-video":
                return cls("thesis-video", (80, 20), SPLITS[:2])
            return cls("thesis-frame", (80, 10, 10))
        match = re.fullmatch(r"(file|id):(\d{1,6}(?:/\d{1,6})*)", text)
        shares = tuple(int(share) for share in match[2].split("/")) if match else ()
        if not match or 0 in shares or len(shares) != len(splits):
            example = _DEFAULT_SHARES[len(splits)]
            allowed = (
                f"allowed with {own_data}: file:{example} or id:{example} (any shares of {' and '.join(splits)})"
                if own
                else "allowed: file:80/10/10, id:80/10/10 (any shares below 1,000,000), thesis-video or thesis-frame"
            )
            raise InputError(f"split is {quote(text)}, {allowed}")
        return cls("file" if match[1] == "file" else "id", shares, splits)

    def of_id(self, video_id: bytes) -> Split:
        """The split of a video by the hash of its id: the same on every machine and for every file layout."""
        place = int.from_bytes(hashlib.sha256(video_id).digest()[:8], "big") % sum(self.shares)
        for split, share in zip(self.splits, self.shares, strict=True):
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
            shares = "/".join(map(str, self.shares if self.kind == "file" else (80, 10, 10)))
            raise InputError(
                f"split by file needs at least {len(self.shares)} files, found {len(files)}: use id:{shares}"
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
        for split, count in zip(self.splits, counts, strict=True):
            for _ in range(count):
                dealt[shuffled.pop()] = split
        return dealt
