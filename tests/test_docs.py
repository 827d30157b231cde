"""What the documentation says is so: its commands run, its links lead somewhere, its reference is up to date."""

from __future__ import annotations

import glob
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ROOT, environment, toolkit

PAGES = sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("*.md")])
RUN = re.compile(r"<!-- run -->\n\n((?:    .*\n)+)")
FILE = re.compile(r"<!-- file: (\S+) -->\n\n```\w+\n(.*?)```", re.DOTALL)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
BUILT = ["toolkit", "build", "lenet", "--int8"]  # what the fixture has run


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def commands_of(text: str) -> list[list[str]]:
    return [shlex.split(line, comments=True) for block in RUN.findall(text) for line in block.splitlines()]


@pytest.fixture
def workplace(tmp_path: Path, lenet_bundle: Path) -> Path:
    """A folder with what the pages take for granted."""
    shutil.copytree(lenet_bundle, tmp_path / "lenet-int8")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "photos").symlink_to(ROOT / "examples" / "digits")
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if RUN.search(page.read_text())], ids=name_of)
def test_commands_run(page: Path, workplace: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name, content in FILE.findall(text):
        (workplace / name).write_text(content)
    commands = commands_of(text)
    assert commands
    for command in commands:
        assert command[0] == "toolkit"
        if command != BUILT:
            parts = [glob.glob(part, root_dir=workplace) if "*" in part else [part] for part in command[1:]]
            done = toolkit(*(part for several in parts for part in several), cwd=workplace)
            assert done.returncode == 0, f"{shlex.join(command)}: {done.stderr}"


def test_most_how_tos_run_commands() -> None:
    assert len([page for page in PAGES if page.parent.name == "howto" and RUN.search(page.read_text())]) >= 4


@pytest.mark.parametrize("name", ["docs/quickstart.md", "docs/reference/python.md"])
def test_python_block_runs(name: str, workplace: Path) -> None:
    (block,) = PYTHON.findall((ROOT / name).read_text(encoding="utf-8"))
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=workplace, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() in (["3"], ["3", "4"])


def test_the_reference_is_that_of_the_commands() -> None:
    generate = runpy.run_path(str(ROOT / "docs" / "site" / "commands.py"))["generate"]
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert page == generate(), "the commands have changed: make docs-reference"


def test_every_option_that_is_mentioned_exists() -> None:
    reference = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    known = set(re.findall(r"--[a-z][a-z0-9-]+", reference))
    for page in ROOT.glob("docs/howto/*.md"):
        lines = re.findall(r"^    toolkit (.+)", page.read_text(encoding="utf-8"), re.MULTILINE)
        mentioned = {option for line in lines for option in re.findall(r"(?<!\S)(--[a-z][a-z0-9-]+)", line)}
        assert mentioned <= known, name_of(page)


def places(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.replace("`", "").lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere_in_the_repository(page: Path) -> None:
    text = re.sub(r"^(?:```.*?^```|    .*)", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not link.startswith(("http://", "https://")):
            name, _, place = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if not target.exists() or (place and place not in places(target)):
                dead.append(link)
    assert dead == []


GOOD = '<html><body><a href="b.html#place">b</a><img src="a.png" alt="a"></body></html>'


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        (GOOD, ""),
        ('<script src="https://example.org/a.js"></script>', "loads https://example.org/a.js"),
        ('<link rel="preconnect stylesheet" href="//example.org/a.css">', "loads //example.org/a.css"),
        (
            '<img alt="a" src="a.png" srcset="a.png 1x, https://example.org/b.png 2x">',
            "loads https://example.org/b.png",
        ),
        ("<style>p { background: url(https://example.org/c.png) }</style>", "loads https://example.org/c.png"),
        ('<link rel="canonical" href="https://example.org/"><a href="https://example.org/">there</a>', ""),
        ('<a href="c.html">c</a>', "points to c.html: no such file"),
        ('<a href="b.html#nowhere">b</a>', "points to b.html#nowhere: no such place in it"),
        ('<img src="b.png" alt="b">', "points to b.png: no such file"),
        ('<img src="a.png">', "pictures without a text"),
        ("<p>text\n- one\n- two</p>", "shows Markdown"),
        ("<p>| a | b |\n| --- | --- |</p>", "shows Markdown"),
        ("<p>2. two</p>", "shows Markdown"),
        ("<p><code>- a</code> and 8 or\n32. An end</p>", ""),
    ],
)
def test_the_check_of_the_site_finds(page: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(page)
    (tmp_path / "b.html").write_text('<h1 id="place">b</h1>')
    (tmp_path / "a.png").touch()
    complaints = runpy.run_path(str(ROOT / "docs" / "site" / "check.py"))["complaints"]
    found = list(complaints(tmp_path))
    assert len(found) == bool(complaint), found
    assert complaint in "".join(found)


def test_the_navigation_has_every_page() -> None:
    """mkdocs says so too, but not of the pages that it gets from elsewhere than its own folder."""
    named = re.findall(r"(\S+\.md)$", (ROOT / "docs" / "site" / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(name_of(page) for page in PAGES if page.name != "README.md" or page.parent != ROOT)
