"""`yt8m gc`."""

import json
import os
from pathlib import Path

import click

from models.errors import plural
from pipeline.cli.options import AS_JSON
from pipeline.cli.quiet import stderr_to


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--keep-versions", type=click.IntRange(min=1), help="Keep this many of the newest pushed models (default: all)."
)
@click.option("--delete", is_flag=True, help="Remove what is listed.")
@AS_JSON
def gc(folders: tuple[Path, ...], keep_versions: int | None, delete: bool, as_json: bool) -> None:
    """List what nothing needs any more in FOLDERS: run folders, searches, push or work directories, folders of these.

    That is: leftovers of killed runs, checkpoints of finished trainings, trials of finished searches, rejected records
    of failed runs and, with --keep-versions, older pushed models. The serving model and whatever is younger than a day
    are kept.
    """
    with stderr_to(Path(os.devnull)):  # TensorFlow logs when it starts
        from pipeline.local.leftovers import removable

    leftovers = {leftover.path: leftover for folder in folders for leftover in removable(folder, keep_versions)}
    sizes = {path: leftover.size for path, leftover in leftovers.items()}
    for leftover in leftovers.values() if delete else ():
        leftover.remove()
    if as_json:
        rows = [{"path": str(path), "why": leftovers[path].why, "bytes": size} for path, size in sizes.items()]
        click.echo(json.dumps({"removed": delete, "leftovers": rows}, indent=1))
        return
    for path, size in sizes.items():
        click.echo(f"{size:>15,} bytes  {path}  ({leftovers[path].why})")
    action = "removed" if delete else "use --delete to remove"
    total = f"{plural(len(sizes), 'leftover')}, {sum(sizes.values()) / 1e6:,.1f} MB: {action}"
    click.echo(total if sizes else "nothing to remove")
