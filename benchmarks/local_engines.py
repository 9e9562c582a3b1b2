"""Engines on this machine, for benchmarks and tests/engines: Prism, and a standalone cluster of Spark.

    python benchmarks/local_engines.py prism|spark

starts one, prints the settings of a run on it, and ends it after Ctrl-C.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]

# What `make test-prism` and `make test-spark` fetch.
FETCHED = ROOT / ".engines"

YT8M, WORKER = (Path(sys.executable).with_name(name) for name in ("yt8m", "yt8m-beam-worker"))

# Java 17 hides what Spark reads.
_OPENED = ("java.io", "java.lang", "java.lang.invoke", "java.net", "java.nio", "java.util", "java.util.concurrent")
_JAVA = [
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in (*_OPENED, "sun.nio.ch", "sun.security.action")),
    "-Dspark.ui.enabled=false",
    "-Dspark.driver.host=127.0.0.1",
    "-Dspark.driver.bindAddress=127.0.0.1",
]

START_SECONDS = 120


@dataclass
class Engine:
    """An engine that runs.

    Attributes:
        name: prism or spark.
        folder: of its logs.
        retries: whether it tries again what a killed worker did.
        own_options: `beam.options` that it works better with.
        endpoint: of its job service.
    """

    name: str
    folder: Path
    retries: bool = False
    own_options: tuple[str, ...] = ()
    endpoint: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def options(self, worker: Path = WORKER) -> list[str]:
        """`beam.options` for workers that are this command."""
        process = ["--environment_type=PROCESS", f"--environment_option=process_command={worker}"]
        return [f"--job_endpoint={self.endpoint}", *process, *self.own_options]

    def settings(self, *options: str) -> list[str]:
        """Arguments of `yt8m run` for this engine."""
        listed = ", ".join([*self.options(), *options])
        return ["--set", "beam.runner=PortableRunner", "--set", f"beam.options=[{listed}]"]

    def workers(self) -> list[psutil.Process]:
        """Python processes that the engine has started."""
        below = [child for process in self.processes for child in psutil.Process(process.pid).children(recursive=True)]
        return [process for process in below if "python" in process.name()]

    def start(self, name: str, command: Sequence[object], port: int, **environment: str) -> None:
        """Starts a process and waits until it listens."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                env={**os.environ, **environment},
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        deadline = time.monotonic() + START_SECONDS
        while not listens(port):
            assert process.poll() is None and time.monotonic() < deadline, (self.folder / f"{name}.log").read_text()
            time.sleep(0.1)

    def close(self) -> None:
        """Ends its processes, with those that they have started."""
        for process in reversed(self.processes):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def listens(port: int) -> bool:
    """Whether a process of this machine listens at a port."""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def prism(folder: Path) -> Engine:
    """Beam's runner in Go: a single process, which starts a worker per job."""
    engine, port = Engine("prism", folder), free_port()
    command = [FETCHED / "bin" / "prism", f"-job_port={port}", "-serve_http=false", "-log_kind=text"]
    engine.start("prism", command, port)
    engine.endpoint = f"localhost:{port}"
    return engine


def spark(folder: Path, workers: int = 2) -> Engine:
    """A master, workers with a core each, and Beam's job service."""
    home, jars = FETCHED / "pyspark" / "pyspark", FETCHED / "spark-jars"
    # A worker that is kept between the stages of a job imports TensorFlow once.
    engine = Engine("spark", folder, retries=True, own_options=("--environment_cache_millis=60000",))
    variables = {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_NO_DAEMONIZE": "1"}
    master, launcher = free_port(), [home / "bin" / "spark-class"]
    address = ["--host", "127.0.0.1", "--port", master, "--webui-port", free_port()]
    engine.start("master", [*launcher, "org.apache.spark.deploy.master.Master", *address], master, **variables)
    for number in range(1, workers + 1):
        port = free_port()
        place = ["--host", "127.0.0.1", "--port", port, "--webui-port", free_port(), "--work-dir", folder / f"{number}"]
        size = ["--cores", 1, "--memory", "1g", f"spark://127.0.0.1:{master}"]
        command = [*launcher, "org.apache.spark.deploy.worker.Worker", *place, *size]
        engine.start(f"worker-{number}", command, port, **variables)
    port = free_port()
    service = ["org.apache.beam.runners.spark.SparkJobServerDriver", "--job-host=127.0.0.1", f"--job-port={port}"]
    ports = ["--artifact-port=0", "--expansion-port=0", f"--artifacts-dir={folder / 'staging'}"]
    # Spark has an older Guava than Beam needs: the first attempt of every executor would fail.
    guava = ":".join(str(jar) for name in ("guava", "failureaccess") for jar in jars.glob(f"{name}-*.jar"))
    java = ["java", "-Xmx1g", *_JAVA, f"-Dspark.executor.extraClassPath={guava}", "-cp", f"{jars}/*"]
    engine.start("job-service", [*java, *service, *ports, f"--spark-master-url=spark://127.0.0.1:{master}"], port)
    engine.endpoint = f"localhost:{port}"
    return engine


def main() -> None:
    """Runs an engine until Ctrl-C."""
    if len(sys.argv) != 2 or sys.argv[1] not in START:
        sys.exit(f"expected one of {', '.join(START)}")
    with tempfile.TemporaryDirectory() as folder:
        engine = START[sys.argv[1]](Path(folder))
        try:
            print("yt8m run", shlex.join(engine.settings()), "...", flush=True)
            signal.signal(signal.SIGTERM, lambda *_: sys.exit())
            with suppress(KeyboardInterrupt):
                signal.pause()
        finally:
            engine.close()


START: dict[str, Callable[..., Engine]] = {"prism": prism, "spark": spark}

if __name__ == "__main__":
    main()
