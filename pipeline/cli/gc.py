"""`yt8m gc`."""

import json
import os
from pathlib import Path

import click

from pipeline.cli.options import AS_JSON
from pipeline.cli.quiet import stderr_to


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--keep-versions", type=click.IntRange(min=1), help="Only so many of the newest (default: all).")
@click.option("--delete", is_flag=True, help="Remove what is listed.")
@AS_JSON
def gc(folders: tuple[Path, ...], keep_versions: int | None, delete: bool, as_json: bool) -> None:
    """List what may go from FOLDERS: of runs, searches or several of them, push or work directories.

    These are leftovers of killed runs, checkpoints of finished trainings, trials of finished searches, bad records of
    refused runs and, with --keep-versions, older pushed models. What serves stays, and all that is younger than a day.
    """
    with stderr_to(Path(os.devnull)):  # TensorFlow talks when it starts
        from pipeline.local.leftovers import removable

    found = {leftover.path: leftover for folder in folders for leftover in removable(folder, keep_versions)}
    sizes = {path: leftover.size for path, leftover in found.items()}
    for leftover in found.values() if delete else ():
        leftover.remove()
    if as_json:
        rows = [{"path": str(path), "why": found[path].why, "bytes": size} for path, size in sizes.items()]
        click.echo(json.dumps({"removed": delete, "leftovers": rows}, indent=1))
        return
    for path, size in sizes.items():
        click.echo(f"{size:>15,} bytes  {path}  ({found[path].why})")
    verdict = "removed" if delete else "may go: --delete removes them"
    click.echo(f"{len(sizes)} of {sum(sizes.values()) / 1e6:,.1f} MB {verdict}" if sizes else "nothing to remove")
