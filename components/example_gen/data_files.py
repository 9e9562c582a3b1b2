"""The shards of a run: of the data that are split, and of the splits that have data of their own."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.example_gen.input_files import InputFiles, find_files
from components.example_gen.local_files import file_state
from components.example_gen.splits import Split
from models.errors import InputError


@dataclass(frozen=True)
class DataFiles:
    """The shards that are there now.

    Attributes:
        data: divided by the split policy.
        own: those whose videos all go to one split, by that split.
    """

    data: InputFiles
    own: Mapping[Split, InputFiles] = field(default_factory=dict)

    @property
    def by_option(self) -> dict[str, InputFiles]:
        """The shards by the setting that their pattern came from."""
        return {"data": self.data} | {f"{split}_data": files for split, files in self.own.items()}

    @property
    def fingerprint(self) -> str:
        """Changes with the shards."""
        return "".join(files.fingerprint for files in self.by_option.values())

    def own_pattern(self, split: Split) -> str:
        """The pattern of a split's own data with its {SPAN} filled in, "" where it has none."""
        return self.own[split].pattern if split in self.own else ""


def find_data_files(data: str, validation_data: str = "", test_data: str = "", spans: int = 1) -> DataFiles:
    """Lists the shards of all patterns, see `find_files`.

    Args:
        data: pattern of the data that are split.
        validation_data: pattern of the validation split's own data, or "".
        test_data: the same of the test split.
        spans: how many of the newest spans to use, of each pattern with {SPAN}.

    Raises:
        InputError: nothing matches a pattern, a match cannot be used, or two patterns match the same file.
    """
    patterns: dict[Split, str] = {"validation": validation_data, "test": test_data}
    own = {split: find_files(pattern, f"{split}_data", spans) for split, pattern in patterns.items() if pattern}
    files = DataFiles(find_files(data, spans=spans), own)
    if own:
        _refuse_shared(files)
    return files


def _refuse_shared(files: DataFiles) -> None:
    """Raises InputError where a file belongs to two patterns, perhaps by a link: its videos would be in two splits."""
    seen: dict[str | tuple[int, int], tuple[str, str]] = {}
    for option, shards in files.by_option.items():
        for file in shards.files:
            first_option, first = seen.setdefault(_identity(file.path, option), (option, file.path))
            if first_option != option:
                name = "" if first == file.path else f", as {first!r}"
                raise InputError(
                    f"{option}: {file.path!r} is in {first_option} too{name}: a file belongs to one split, choose "
                    "patterns that share none"
                )


def _identity(path: str, option: str) -> str | tuple[int, int]:
    """Equal for paths of the same file."""
    if "://" in path:
        return path
    state = file_state(path, option)
    return state.st_dev, state.st_ino
