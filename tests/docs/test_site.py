"""The documentation: no link leads nowhere, generated parts are up to date, quoted messages are those of the code."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.code_blocks import PAGES, ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as `make docs` builds it: a link, a reference or a docstring that is wrong fails it."""
    # Not in this process: autodoc changes the default arguments of what it documents.
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", folder / "doctrees", DOCS, folder]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_in_the_site(site):
    for page in PAGES[1:]:
        assert (site / f"{page.stem}.html").is_file()
    assert {page.stem for page in DOCS.glob("*.md")} == {page.stem for page in PAGES[1:]} | {"index"}


def test_an_opened_page_asks_no_other_host_for_anything(site):
    for page in site.glob("*.html"):
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*\bsrc=\"([^\"]*)\"", text)
        loaded += re.findall(r"<link[^>]*rel=\"(?:stylesheet|preload|icon)\"[^>]*href=\"([^\"]*)\"", text)
        assert loaded and not [address for address in loaded if re.match(r"(https?:)?//", address)]
    for sheet in (site / "_static").rglob("*.css"):
        assert not re.search(r"(url\(|@import )[\"']?(https?:)?//", sheet.read_text())


def test_links_of_the_readme_lead_to_files_and_headings():
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", (ROOT / "README.md").read_text()):
        file, _, heading = target.partition("#")
        assert (ROOT / file).exists(), target
        headings = re.findall(r"^#+ (.*)$", (ROOT / file).read_text(), re.MULTILINE) if heading else []
        slugs = [re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings]
        assert not heading or heading in slugs, target


def test_the_readme_is_read_in_one_sitting():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_generated_parts_are_up_to_date():
    for name, content in runpy.run_path(str(DOCS / "generate.py"))["FILES"].items():
        assert (DOCS / name).read_text("utf-8") == content(), f"run docs/generate.py: {name} differs"


def test_troubleshooting_quotes_messages_of_the_code():
    """Each part between the dots of a quoted message must stand in a string of the code."""
    packages = ("pipeline", "components", "tuner", "models")
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    code = "\n".join(file.read_text() for file in [*files, ROOT / "environment.sh"])
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # a string over several lines
    code = re.sub(r"\{[^{}]*\}", "...", code)  # values in a string
    rows = re.findall(r"^\| (`.*?) \| ", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(rows) > 30
    for message in re.findall(r"`([^`]+)`", " ".join(rows)):
        for part in message.split("..."):
            assert part.strip() in code, f"{message}: no message has {part.strip()!r}"


def test_the_version_is_the_same_everywhere():
    version = re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text())[1]
    texts = [ROOT / "Dockerfile", ROOT / "README.md", *DOCS.glob("*.md"), *(ROOT / "k8s").rglob("*.yaml")]
    tags = {tag for file in texts for tag in re.findall(r"yt8m:(\d+\.\d+\.\d+)", file.read_text())}
    tags |= set(re.findall(r"newTag: (\d+\.\d+\.\d+)", Path(ROOT / "k8s/site/kustomization.yaml").read_text()))
    assert tags == {version}
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_api_pages_have_every_module_of_models():
    modules = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for file in (ROOT / "models").rglob("*.py")
        if file.stem != "__init__"
    }
    assert set(re.findall(r"automodule:: (\S+)", (DOCS / "api.md").read_text())) == modules
