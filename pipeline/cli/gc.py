"""`yt8m gc`."""

import json
import os
from pathlib import Path

import click

from models.errors import plural
from pipeline.cli.options import AS_JSON, with_access
from pipeline.cli.quiet import stderr_to


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--keep-versions", type=click.IntRange(min=1), help="Keep this many of the newest pushed models (default: all)."
)
@click.option("--delete", is_flag=True, help="Remove what is listed.")
@AS_JSON
@with_access
def gc(
    folders: tuple[Path, ...],
    keep_versions: int | None,
    delete: bool,
    as_json: bool,
    endpoint: str | None,
    token_file: Path | None,
    namespace: str | None,
) -> None:
    """List what nothing needs any more in FOLDERS: run folders, searches, push or work directories, folders of these.

    That is: leftovers of killed runs, checkpoints of finished trainings, trials of finished searches, rejected records
    of failed runs and, with --keep-versions, older pushed models. The serving model and whatever is younger than a day
    are kept.

    In an artifact directory of a cluster: artifacts that no run under way, no schedule's next run and no serving model
    needs, as Kubeflow Pipelines says; those that are kept are listed with what needs them.
    """
    with stderr_to(Path(os.devnull)):  # TensorFlow logs when it starts
        from pipeline.local.leftovers import Leftover, removable
        from pipeline.local.volume_leftovers import LargeArtifact, is_artifact_directory, known_runs, survey

    volumes = [folder for folder in folders if is_artifact_directory(folder)]
    kept: list[LargeArtifact] = []
    leftovers: dict[Path, Leftover] = {
        leftover.path: leftover
        for folder in folders
        if folder not in volumes
        for leftover in removable(folder, keep_versions)
    }
    if volumes:
        from pipeline.kubeflow.api.client import connect
        from pipeline.kubeflow.api.needed_runs import find_needed_runs

        connection = connect(endpoint, token_file, namespace)
        for volume in volumes:
            unneeded, needed = survey(volume, find_needed_runs(connection, known_runs(volume)))
            leftovers |= {leftover.path: leftover for leftover in unneeded}
            kept += needed
    sizes = {path: leftover.size for path, leftover in leftovers.items()}
    for leftover in leftovers.values() if delete else ():
        leftover.remove()
    if as_json:
        rows = [{"path": str(path), "why": leftovers[path].why, "bytes": size} for path, size in sizes.items()]
        kept_rows = [{"path": str(each.path), "why": each.why, "bytes": each.size} for each in kept]
        click.echo(json.dumps({"removed": delete, "leftovers": rows, "kept": kept_rows}, indent=1))
        return
    for each in kept:
        click.echo(f"{each.size:>15,} bytes  {each.path}  (kept: {each.why})")
    for path, size in sizes.items():
        click.echo(f"{size:>15,} bytes  {path}  ({leftovers[path].why})")
    action = "removed" if delete else "use --delete to remove"
    total = f"{plural(len(sizes), 'leftover')}, {sum(sizes.values()) / 1e6:,.1f} MB: {action}"
    click.echo(total if sizes else "nothing to remove")
