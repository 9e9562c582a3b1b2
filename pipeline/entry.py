"""Entry point of `yt8m`: checks that the packages it imports are its own."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

# Top-level names that other distributions, or a folder on PYTHONPATH, may have too.
PACKAGES = ("pipeline", "components", "tuner", "models")


def main() -> None:
    """Runs the command line."""
    # Files that are opened later would take the place of closed streams.
    if sys.stdin is None:
        os.open(os.devnull, os.O_RDONLY)
    if sys.stderr is None:
        sys.stderr = open(os.open(os.devnull, os.O_WRONLY), "w")  # noqa: SIM115
    if sys.stdout is None:
        sys.stderr.write("error: standard output is closed: redirect it, to /dev/null if nobody reads it\n")
        sys.exit(2)
    if problem := clash():
        sys.stderr.write(f"error: {problem}\n")
        sys.exit(2)
    try:
        from pipeline.cli import main as command_line
    except (ImportError, AttributeError) as error:
        if not os.environ.get("PYTHONPATH"):
            raise
        sys.stderr.write(f"error: {error}: something in PYTHONPATH={os.environ['PYTHONPATH']} hides a package\n")
        sys.exit(2)
    command_line()


def clash() -> str:
    """A sentence about a package of ours that another one hides; "" where none is hidden."""
    home = Path(__file__).parents[1]
    for name in PACKAGES:
        spec = find_spec(name)
        places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
        if not places or places[0].parent != home:
            hidden_by = spec.origin or places if spec else "nothing"
            return (
                f"the package {name} of this installation in {home} is hidden by {hidden_by}: remove that from "
                "PYTHONPATH, or install the two in separate environments"
            )
        if spec and spec.origin is None:
            return f"{places[0]} has no __init__.py: another distribution has the package {name} too, reinstall"
    return ""
