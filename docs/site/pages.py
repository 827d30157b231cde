"""Gives mkdocs the pages under their paths in the repository, so that their links are right there and on the site."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
# Pages, and what they show or link to.
WANTED = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**/*.md",
    "docs/**/*.png",
    "docs/**/*.svg",
    "docs/experiments/*.json",
    "docs/site/*.css",
    "docs/site/*.js",
    "examples/**/*",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """All files of the site: the theme's, and ours."""
    ours = {path.relative_to(ROOT).as_posix() for pattern in WANTED for path in ROOT.glob(pattern) if path.is_file()}
    made = [make(name, config) for name in sorted(ours) if "__pycache__" not in name]
    return Files([file for file in files if Path(file.src_dir or "") != ROOT / "docs"] + made)


def make(name: str, config: MkDocsConfig) -> File:
    """A file whose address is its path in the repository without `docs/`."""
    file = File(name, src_dir=str(ROOT), dest_dir=config.site_dir, use_directory_urls=config.use_directory_urls)
    file.dest_uri = file.dest_uri.removeprefix("docs/")
    return file
