"""What YouTube-8M publishes: its parts, mirrors and addresses, and the names and MD5s of the shards."""

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits
from typing import Any, Literal
from urllib.parse import urlsplit

from models.errors import InputError, printable, quote
from models.features import Level
from pipeline.data.download.client import DownloadError

Part = Literal["train", "validate", "test"]
Mirror = Literal["us", "eu", "asia"]

# 2: May 2018, all videos. 3: June 2019, the videos of validate and test with rated segments.
Version = Literal["2", "3"]

# Digits of the two-letter ids of the shards, of which there are 62^2 = 3844 a part.
ID_CHARACTERS = ascii_lowercase + ascii_uppercase + digits
SHARD_NAME = re.compile(f"(train|validate|test)([{ascii_letters}{digits}])([{ascii_letters}{digits}])\\.tfrecord")
MD5 = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class Addresses:
    """Addresses of plans, shards and the vocabulary; a private mirror has the same paths.

    Args:
        plans: base of `/2/download_plans/frame_train.json`.
        shards: base of `/2/frame/train/trainaa.tfrecord`.
        vocabulary: full address of the label names; version 3 has some of the same labels.
    """

    plans: str
    shards: str
    vocabulary: str

    @classmethod
    def of_mirror(cls, mirror: Mirror) -> "Addresses":
        """The published addresses, with the shards of one mirror."""
        vocabulary = "http://research.google.com/youtube8m/csv/2/vocabulary.csv"
        return cls("http://data.yt8m.org", f"http://{mirror}.data.yt8m.org", vocabulary)

    @classmethod
    def of_base_url(cls, url: str) -> "Addresses":
        """A private mirror.

        Raises:
            InputError: not an http:// or https:// address, or one with a password, which the message omits.
        """
        if "@" in url:
            raise InputError("--base-url has an @, expected an address without user name and password, which logs keep")
        try:
            parsed = urlsplit(url)
            usable = parsed.scheme in ("http", "https") and parsed.hostname and parsed.port != 0
        except ValueError:
            usable = False
        if not usable or re.search(r"[\s?#]", url):
            shown = quote(re.sub(r"[?#].*", "?...", url))  # may hold a key
            raise InputError(f"--base-url is {shown}, expected an address like https://mirror.example/yt8m")
        base = url.rstrip("/")
        return cls(base, base, f"{base}/youtube8m/csv/2/vocabulary.csv")


@dataclass(frozen=True)
class Partition:
    """A part of the data set, as the official downloader's `partition=2/frame/train`."""

    version: Version
    level: Level
    part: Part

    def __post_init__(self) -> None:
        if self.version == "3" and (self.level == "video" or self.part == "train"):
            raise InputError(
                f"--version is 3 with --level {self.level} --part {self.part}, "
                "allowed with it: --level frame and --part validate or test (the parts with rated segments)"
            )

    def plan_url(self, addresses: Addresses) -> str:
        """The address of the list of its files."""
        return f"{addresses.plans}/{self.version}/download_plans/{self.level}_{self.part}.json"

    def files(self, plan: bytes, addresses: Addresses) -> list["PublishedFile"]:
        """Reads its plan, `{"files": {"trainaa.tfrecord": "<md5>", ...}}`.

        Raises:
            DownloadError: not a valid plan. Names other than those of this part's shards are refused, as they become
                paths on this machine.
        """
        url = self.plan_url(addresses)
        try:
            files = json.loads(plan, object_pairs_hook=_unique)["files"]
            pairs = sorted(files.items())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = printable(str(error)) if isinstance(error, ValueError) else "no object `files` in it"
            raise DownloadError(f"{url}: not a download plan: {reason}") from None
        if not pairs:
            raise DownloadError(f"{url}: lists no files")
        for name, md5 in pairs:
            if not (match := SHARD_NAME.fullmatch(name)) or match[1] != self.part:
                raise DownloadError(f"{url}: has a file {quote(name)}, expected names like {self.part}aa.tfrecord")
            if not isinstance(md5, str) or not MD5.fullmatch(md5):
                raise DownloadError(f"{url}: the MD5 of {name} is {quote(md5)}, expected 32 hexadecimal digits")
        folder = f"{addresses.shards}/{self.version}/{self.level}/{self.part}"
        return [PublishedFile(name, f"{folder}/{name}", md5) for name, md5 in pairs]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict; a name that occurs twice would lose its first MD5."""
    content = dict(pairs)
    if len(content) < len(pairs):
        repeated = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"lists {quote(repeated)} twice")
    return content


@dataclass(frozen=True)
class PublishedFile:
    """A shard as its plan lists it."""

    published_name: str
    url: str
    md5: str

    @property
    def name(self) -> str:
        """The official name on disk: the id becomes its number, trainaa.tfrecord -> train0000.tfrecord."""
        match = SHARD_NAME.fullmatch(self.published_name)
        assert match, self.published_name  # checked by Partition.files
        high, low = (ID_CHARACTERS.index(character) for character in match.group(2, 3))
        return f"{match[1]}{high * len(ID_CHARACTERS) + low:04d}.tfrecord"


@dataclass(frozen=True)
class Share:
    """The official downloader's `shard=X,Y`: one of Y shares of the files, alike for every part and mirror.

    Args:
        number: X, 1 to Y.
        of: Y.
    """

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> "Share":
        """Reads `X/Y`, or `X,Y` as the official downloader spells it.

        Raises:
            InputError: another form, or not 1 <= X <= Y.
        """
        match = re.fullmatch(r"([0-9]{1,9})[/,]([0-9]{1,9})", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise InputError(f"--shard is {text!r}, expected X/Y with 1 <= X <= Y, say 1/100")
        return cls(int(match[1]), int(match[2]))

    def holds(self, file: PublishedFile) -> bool:
        """Whether a file belongs to this share: by the MD5 of its published name, as in the official downloader."""
        return int(hashlib.md5(file.published_name.encode()).hexdigest(), 16) % self.of == self.number - 1
