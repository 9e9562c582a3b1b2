"""Replays the Dockerfile without a container engine: `make image-replay` (root, Debian's debootstrap).

Every stage becomes a folder, every RUN a chroot in it. In place of the base image there is a minimal Debian 13 with the
libraries of Python's image and this machine's Python 3.11. At the end the command runs as the image's user, on a
read-only file system with an empty /tmp.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dockerfile import Stage, assignment, context_files, parse, substitute

ROOT = Path(__file__).parents[2]
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
# The packages that python:3.11-slim adds to Debian: libraries that the interpreter links.
PACKAGES = (
    "ca-certificates,netbase,tzdata,libbz2-1.0,libexpat1,libffi8,liblzma5,libncursesw6,libreadline8t64,libsqlite3-0,"
    "libssl3t64,libuuid1"
)


class Image:
    """A stage's folder, and its environment, working directory and user so far."""

    def __init__(self, folder: Path, parent: "Image | None" = None) -> None:
        self.folder = folder
        self.environment = dict(parent.environment) if parent else {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin"}
        self.workdir = parent.workdir if parent else "/"
        self.user = parent.user if parent else "0:0"  # always with the group
        if parent:
            subprocess.run(["cp", "-a", "--reflink=auto", parent.folder, folder], check=True)

    def run(self, command: list[str], read_only: bool = False) -> None:
        """Runs a command inside; `read_only` leaves only an empty /tmp writable, as in a pod."""
        folder = shlex.quote(str(self.folder))
        mounts = [f"mount --bind {folder} {folder}", f"mount -t proc proc {folder}/proc"]
        mounts += [f"mount -t tmpfs -o mode=1777,size=64m tmpfs {folder}/dev/shm"]
        if read_only:
            mounts += [f"mount -o remount,ro,bind {folder}", f"mount -t tmpfs -o mode=1777 tmpfs {folder}/tmp"]
        inside = ["chroot", f"--userspec={self.user}", "--groups=", str(self.folder), "env", "-i"]
        # Build steps use the network, with the certificates of this machine.
        network = {} if read_only else {"PIP_CERT": CERTIFICATES, "SSL_CERT_FILE": CERTIFICATES}
        variables = (f"{name}={value}" for name, value in (self.environment | network).items())
        inside += [f"--chdir={self.workdir}", *variables]
        script = " && ".join([*mounts, shlex.join([*inside, *command])])
        subprocess.run(["unshare", "--mount", "sh", "-c", script], check=True)


def base_image(folder: Path) -> Image:
    """Debian 13 with this machine's Python in /usr/local."""
    subprocess.run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "trixie", folder], check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    for name in ("bin/python3.11", "lib/libpython3.11.so.1.0", "include/python3.11", "lib/python3.11"):
        source, target = Path(sys.base_prefix, name), folder / "usr/local" / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("site-packages", "test"))
        elif source.exists():
            shutil.copy(source, target)
    for name in ("python", "python3"):
        (folder / "usr/local/bin" / name).symlink_to("python3.11")
    # For the network.
    for name in ("/etc/resolv.conf", CERTIFICATES):
        shutil.copy(name, folder / name[1:])
    image = Image(folder)
    image.run(["ldconfig"])
    return image


def replay(stage: Stage, image: Image, images: dict[str, Image], arguments: dict[str, str]) -> None:
    """Executes the instructions of one stage."""
    variables: dict[str, str] = {}
    for keyword, text in stage.instructions:
        print(f"[{stage.name}] {keyword} {text[:100]}", flush=True)
        match keyword:
            case "ARG":
                variables |= assignment(text) or {text: arguments[text]}
            case "ENV":
                for pair in shlex.split(text):
                    image.environment |= assignment(substitute(pair, image.environment | variables))
            case "WORKDIR":
                image.workdir = text
                (image.folder / text[1:]).mkdir(parents=True, exist_ok=True)
            case "USER":
                image.user = text
            case "COPY":
                copy(text.split(), image, images)
            case "RUN":
                image.run(["sh", "-c", text])
            case "LABEL" | "CMD":
                pass
            case _:
                raise SystemExit(f"Dockerfile: the replay does not support {keyword}")


def copy(words: list[str], image: Image, images: dict[str, Image]) -> None:
    """COPY [--from=STAGE] SOURCE TARGET; copies the content of a folder."""
    *options, source, target = words
    destination = image.folder / Path(image.workdir, target).relative_to("/")
    if options:
        [stage] = [option.removeprefix("--from=") for option in options]
        shutil.copytree(images[stage].folder / source[1:], destination, symlinks=True, dirs_exist_ok=True)
        return
    for path in context_files(ROOT, (ROOT / ".dockerignore").read_text()):
        if Path(source) in (path, *path.parents):
            (destination / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, destination / path)


def main() -> None:
    """Replays the stages of a target and runs the command in the last one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="cpu")
    parser.add_argument("--folder", type=Path, help="parent of the temporary folder for the stages")
    parser.add_argument(
        "command", nargs="*", default=["python", "-P", "-m", "pipeline.kubeflow.container.entrypoint", "--help"]
    )
    options = parser.parse_args()
    if os.geteuid() or not shutil.which("debootstrap"):
        raise SystemExit("image-replay: needs root and debootstrap (apt-get install debootstrap)")
    arguments, stages = parse((ROOT / "Dockerfile").read_text())
    by_name = {stage.name: stage for stage in stages}
    needed, waiting = set(), [options.target]
    while waiting:
        stage = by_name[waiting.pop()]
        needed.add(stage.name)
        waiting += [name for name in by_name if name == stage.base or f"--from={name} " in str(stage.instructions)]
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="image-") as folder:
        start = time.monotonic()
        base = base_image(Path(folder, "base"))
        images: dict[str, Image] = {}
        for stage in stages:
            if stage.name in needed:
                images[stage.name] = Image(Path(folder, stage.name), images.get(stage.base, base))
                replay(stage, images[stage.name], images, arguments)
        final = images[options.target]
        size = subprocess.run(["du", "-sm", final.folder], check=True, capture_output=True, text=True).stdout.split()[0]
        print(f"{options.target}: {size} MB, built in {time.monotonic() - start:.0f} s", flush=True)
        final.run(options.command, read_only=True)


if __name__ == "__main__":
    main()
