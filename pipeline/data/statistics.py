"""Statistics of raw shards without a pipeline: what `yt8m stats` does."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.dataset_statistics.agreement import describe_agreement
from components.dataset_statistics.page import table, write_page_and_figures
from components.dataset_statistics.raw_shards import ShardCounts, count_shards, counted_by_beam, counted_here
from components.dataset_statistics.statistics import Statistics, describe
from components.example_gen.data_files import find_data_files
from components.example_gen.ingest import plan_shards
from components.example_gen.input_files import detect_level
from components.example_gen.splits import SplitPolicy
from models.errors import InputError
from pipeline.beam.jobs import cancel_recorded_job
from pipeline.beam.options import beam_args
from pipeline.beam.preflight import preflight
from pipeline.beam_settings import JOB_FILE, BeamSettings
from pipeline.data.ingest_findings import describe_ingest
from pipeline.data.oracle_file import read_oracle_file
from pipeline.data.vocabulary import find_vocabulary, load_vocabulary
from pipeline.settings import DataSettings


def measure(
    data: DataSettings,
    seed: int,
    out: Path,
    progress: Callable[[int, int], None],
    beam: BeamSettings = BeamSettings(),  # noqa: B008  (immutable)
) -> Statistics:
    """Counts raw shards in the splits that a run would make; writes the statistics, the page and the figures.

    Args:
        data: which records, and how they are split; `quarantine_limit` does not apply.
        seed: of the split by file.
        out: an existing folder.
        progress: called after each shard with the bytes read and the total.
        beam: the engine that counts; others than engines count in processes of this machine.

    Raises:
        InputError: the data cannot be found or split, have two levels, or no record can be used.
    """
    files = find_data_files(data.pattern, data.validation_data, data.test_data, data.spans)
    policy = SplitPolicy.parse(data.split, files.own)
    shards = plan_shards(files, policy, seed)
    level = detect_level(files.data)
    for split, own in files.own.items():
        if (own_level := detect_level(own)) != level:
            raise InputError(f"{split}_data: {own.pattern} holds {own_level}-level records, data {level}-level ones")
    names = load_vocabulary(data.model_copy(update={"vocabulary": find_vocabulary(data, files.data)})).names
    total, done = sum(shard.file.size for shard in shards), 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        progress(done, total)

    rejected, rejected_ratings = out / "bad_records.jsonl", out / "bad_ratings.jsonl"
    with rejected.open("wb") as file, rejected_ratings.open("wb") as ratings_file:
        counted = _counted_on_engine(beam, out.resolve(), shards[0].file.path) if beam.on_engine else counted_here
        counts, summary = count_shards(shards, policy, level, len(names), file, ratings_file, count, counted)
    lists = []
    for path, number in ((rejected, summary.quarantined), (rejected_ratings, summary.rejected_ratings)):
        lists.append(str(path) if number else "")
        if not number:
            path.unlink()
    if not summary.videos:
        raise InputError(f"no usable record ({summary.records:,} read), first: {summary.first_quarantined[0]}")
    summary.require_usable()
    statistics = describe(counts, names, data.pattern, level, read_oracle_file(files.data), summary, *lists)
    statistics.write(str(out))
    write_page_and_figures(statistics, str(out))
    return statistics


def _counted_on_engine(beam: BeamSettings, out: Path, shard: str) -> Callable[..., Iterator[ShardCounts]]:
    """What counts shards on an engine, once it has been checked.

    Args:
        beam: the engine.
        out: folder for counts, which its workers see.
        shard: which its workers must see.
    """
    cancel_recorded_job(out / JOB_FILE)
    preflight(beam, str(out), [shard], out / JOB_FILE)
    return partial(counted_by_beam, arguments=beam_args(beam, out / JOB_FILE), folder=str(out))


def print_statistics(statistics: Statistics, console: Console) -> None:
    """Prints the thesis' table of the data set, how far its splits agree, and what the ingest noticed."""
    kind = "synthetic data" if statistics.synthetic else "data"
    title = f"Statistics of the {kind}, {statistics.level} level"
    statistics_table = Table("statistic", *statistics.splits, title=title, box=SIMPLE)
    for name, cells in table(statistics).items():
        statistics_table.add_row(name, *map(Text, cells))
    console.print(statistics_table)
    lines = []
    if statistics.agreement.distances:
        lines.append("Jensen-Shannon distances of the splits' labels (0: equal shares, 1: none in common):")
        lines += [f"  {sentence}" for sentence in describe_agreement(statistics.agreement)]
    for line in [*lines, *describe_ingest(statistics.ingest, statistics.bad_records, statistics.bad_ratings)]:
        console.print(line, markup=False, highlight=False)
