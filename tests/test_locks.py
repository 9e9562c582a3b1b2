"""The locks pin every package by its hashes, at one version; they have a bill of materials and an audit."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
LOCKS = ["requirements", "requirements-dev", "requirements-gpu", "requirements-bootstrap"]


def read_lock(name):
    """Version and hashes by package; an AssertionError if a line is neither."""
    requirements = (ROOT / f"{name}.lock").read_text().replace("\\\n", " ").splitlines()
    parsed = [re.fullmatch(r"([a-z0-9.-]+)==(\S+)((?: +--hash=sha256:[0-9a-f]{64})+) *", line) for line in requirements]
    assert all(parsed)
    return {match[1]: (match[2], sorted(re.findall(r"sha256:(\w+)", match[3]))) for match in parsed}


@pytest.mark.parametrize("name", ["requirements-dev", "requirements-gpu"])
def test_the_locks_agree(name):
    assert read_lock("requirements").items() <= read_lock(name).items()


def test_the_environment_script_and_the_image_install_their_first_tools_from_the_lock():
    script = (ROOT / "environment.sh").read_text()
    assert set(re.findall(r"^ *install_tool (\w+)$", script, re.MULTILINE)) == set(read_lock("requirements-bootstrap"))
    for text in (script, (ROOT / "Dockerfile").read_text()):
        [command] = re.findall(r"/pip\"? install .*", text)
        assert "--require-hashes" in command


def test_a_bill_of_materials_lists_every_package_with_its_hashes(tmp_path):
    command = ["make", "-o", "setup", "sbom", f"BIN={BIN}", "LOCKS=requirements-bootstrap", f"SBOM={tmp_path}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    components = json.loads((tmp_path / "requirements-bootstrap.cdx.json").read_text())["components"]
    listed = {
        part["name"]: (part["version"], sorted(h["content"] for r in part["externalReferences"] for h in r["hashes"]))
        for part in components
    }
    assert listed == read_lock("requirements-bootstrap")


def test_every_lock_has_a_bill_of_materials_and_is_audited():
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^LOCKS = (.*)$", makefile, re.MULTILINE)[1].split() == LOCKS
    # requirements.lock is part of the others.
    assert set(re.findall(r"-r (requirements\S*)\.lock", makefile)) == {*LOCKS} - {"requirements"}


def test_an_audit_without_the_vulnerability_service_fails():
    command = ["make", "-o", "setup", "audit", f"BIN={BIN}"]
    environment = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and "have not been audited" in done.stderr
    assert "audit: failed" in done.stderr and "the locks have not been audited" in done.stderr
