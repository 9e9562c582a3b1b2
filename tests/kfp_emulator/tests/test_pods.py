from collections.abc import Callable
from pathlib import Path
from signal import Signals

import pytest
from kfp import dsl, kubernetes

from kfp_emulator.emulator import Emulator, Fault
from kfp_emulator.tests.small_components import shell, shell_pipeline


@pytest.fixture
def module_step(compiled: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A package whose step runs `python -m` on a module with this code, in the claim `modules` (the test's folder)."""

    def build(code: str, *options: str) -> Path:
        @dsl.container_component
        def step():
            return dsl.ContainerSpec("image:1", ["python", *options, "-m", "probe"], ["word"])

        def pipeline():
            task = step().set_env_variable("LEVEL", "7").set_env_variable("PYTHONPATH", "/modules")
            kubernetes.mount_pvc(task, pvc_name="modules", mount_path="/modules")

        (tmp_path / "probe.py").write_text(f"import atexit, os, signal, sys, threading\n{code}\n")
        return compiled(pipeline)

    return build


@pytest.mark.parametrize("signal", [Signals.SIGKILL, Signals.SIGTERM])
def test_a_killed_pod_fails_and_uploads_nothing(
    emulator: Callable[..., Emulator], compiled: Callable[..., Path], signal: Signals
):
    # The script never ends by itself, so only the fault can have ended the run.
    script = "trap 'echo saved > /state/saved; exit 0' TERM; echo half > $0; echo ready; sleep infinity & wait"

    def pipeline():
        task = shell(script=script)
        kubernetes.mount_pvc(task, pvc_name="state", mount_path="/state")

    cluster = emulator()
    cluster.claims["state"] = cluster.folder / "claim"
    run = cluster.run(compiled(pipeline), faults=[Fault("shell", after="ready", signal=signal)])
    task = run.tasks["shell"]
    assert task.state == "FAILED" and signal.name in task.error, "a killed launcher cannot succeed"
    assert not task.outputs and not (cluster.folder / "store").exists()
    assert (cluster.folder / "claim" / "saved").exists() == (signal == Signals.SIGTERM)


def test_sigterm_is_followed_by_sigkill(emulator: Callable[..., Emulator], compiled: Callable[..., Path]):
    path = compiled(shell_pipeline("trap '' TERM; echo ready; sleep infinity", retries=1))
    run = emulator().run(path, faults=[Fault("shell", "ready", Signals.SIGTERM, attempts=(1, 2), grace=0.2)])
    task = run.tasks["shell"]
    assert (task.state, task.attempts, task.log) == ("FAILED", 2, "ready\nready\n")


@pytest.mark.parametrize("signal", [Signals.SIGKILL, Signals.SIGTERM])
def test_a_forked_step_waits_for_its_fault(
    emulator: Callable[..., Emulator], module_step: Callable[..., Path], tmp_path: Path, signal: Signals
):
    package = module_step(
        "signal.signal(signal.SIGTERM, lambda *_: print('stopping')); sys.stdout.write('one\\n'); print('two')"
    )
    run = emulator(claims={"modules": tmp_path}).run(package, faults=[Fault("step", "one", signal)])
    task = run.tasks["step"]
    assert task.state == "FAILED" and signal.name in task.error
    assert task.log.split() == (["one"] if signal == Signals.SIGKILL else ["one", "stopping", "two"])


def test_variables_come_from_the_package_and_from_secrets(
    emulator: Callable[..., Emulator], compiled: Callable[..., Path]
):
    def pipeline():
        task = shell(script="echo $LEVEL $TOKEN $HOST_ONLY > $0").set_env_variable("LEVEL", "7")
        kubernetes.use_secret_as_env(task, secret_name="store", secret_key_to_env={"token": "TOKEN"})

    path = compiled(pipeline)
    cluster = emulator(secrets={"store": {"token": "s3cret"}})
    run = cluster.run(path)
    assert cluster.store.path(run.tasks["shell"].outputs["page"].uri).read_text() == "7 s3cret\n"
    run = emulator().run(path)
    assert run.tasks["shell"].error == "the pod waits for a secret 'store' that does not exist"


@pytest.mark.parametrize("claim", ["videos.2024", "v" * 64, "Videos", "kfp-launcher"])
def test_a_claim_whose_name_is_no_name_for_a_volume_is_refused(
    emulator: Callable[..., Emulator], compiled: Callable[..., Path], claim: str
):
    def pipeline():
        kubernetes.mount_pvc(shell(script="true"), pvc_name=claim, mount_path="/data")

    task = emulator(claims={claim: Path("/nowhere")}).run(compiled(pipeline)).tasks["shell"]
    assert (task.state, task.attempts) == ("FAILED", 0)
    assert f"Kubernetes refuses the pod: spec.volumes.name: Invalid value: {claim!r}" in task.error.replace(
        "Duplicate", "Invalid"
    )


def test_a_pod_sees_its_volumes_and_nothing_of_the_host(
    emulator: Callable[..., Emulator], compiled: Callable[..., Path], tmp_path: Path
):
    script = f"""
        test ! -e {tmp_path}
        (echo x > /usr/x) 2>/dev/null && exit 1
        cp /data/a/in /data/a/out
        df /dev/shm | grep -q shm || test -d /dev/shm
        echo seen > $0
    """

    def pipeline():
        task = shell(script=script)
        kubernetes.mount_pvc(task, pvc_name="videos", mount_path="/data/a")
        kubernetes.empty_dir_mount(task, volume_name="shm", mount_path="/dev/shm", medium="Memory")

    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "in").write_text("x")
    run = emulator(claims={"videos": videos}).run(compiled(pipeline))
    assert run.state == "SUCCEEDED", run.summary()
    assert (videos / "out").read_text() == "x" and not Path("/data/a").exists()


@pytest.mark.parametrize(
    ("statement", "status", "message"),
    [
        ("pass", 0, ""),
        ("sys.exit(0)", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('no')", 1, "no"),
        ("open('/nothing')", 1, "FileNotFoundError"),
        ("threading.Thread(target=lambda: print('done')).start()", 0, "done"),
    ],
)
@pytest.mark.parametrize("fork", [True, False])
def test_a_step_has_the_exit_status_of_its_module(
    emulator: Callable[..., Emulator],
    module_step: Callable[..., Path],
    tmp_path: Path,
    statement: str,
    status: int,
    message: str,
    fork: bool,
):
    package = module_step(f"atexit.register(print, 'at exit'); print('begun'); {statement}")
    task = emulator(fork=fork, claims={"modules": tmp_path}).run(package).tasks["step"]
    assert task.error == (f"the container ended with exit status {status}" if status else "")
    assert "begun\n" in task.log and "at exit\n" in task.log and message in task.log


@pytest.mark.parametrize("options", [[], ["-P"]])
def test_only_a_forked_step_has_the_preloaded_modules(
    emulator: Callable[..., Emulator], module_step: Callable[..., Path], tmp_path: Path, options: list[str]
):
    code = "print('fractions' in sys.modules, sys.argv[1], os.environ['LEVEL'], {'', '/'} & set(sys.path) != set())"
    package, claims = module_step(code, *options), {"modules": tmp_path}
    forked = emulator(preload=["fractions"], claims=claims).run(package)
    unforked = emulator(preload=["fractions"], fork=False, claims=claims).run(package)
    searched = not options  # the working directory, for modules
    assert forked.tasks["step"].log == f"True word 7 {searched}\n"
    assert unforked.tasks["step"].log == f"False word 7 {searched}\n"
