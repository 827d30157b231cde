"""The files of a report: for people, for programs, and for those who review a change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
from msgspec import structs

from runtime.datasets import Dataset, whole
from runtime.folder import write_together
from toolkit.console import to_json
from toolkit.output_file import place_for
from toolkit.report.compose import compose, wanted_images
from toolkit.report.html import render_html
from toolkit.report.junit import render_junit
from toolkit.report.markdown import render_markdown, step_summary
from toolkit.report.result import Report
from toolkit.report.thumbnails import make_thumbnails

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
NAMES = {"html": "report.html", "markdown": "report.md", "json": "report.json"}


@contextmanager
def places_for(folder: Path, junit: Path | None, *, force: bool) -> Iterator[None]:
    """Find out before the work whether all files can be written.

    Raises:
        ToolkitError: one is there already and `force` is not given, or it cannot be written.
    """
    with ExitStack() as stack:
        for name in NAMES.values():
            stack.enter_context(place_for(folder / name, force=force, named="folder"))
        if junit is not None:
            stack.enter_context(place_for(junit, force=force, option="--junit"))
        yield


def write_report(report: Report, dataset: Dataset | None, folder: Path, junit: Path | None) -> Report:
    """Write everything, and name it in the report.

    Args:
        report: what was found.
        dataset: the images, for the gallery of changed answers.
        folder: for HTML, Markdown and JSON.
        junit: a file for what came of the gates, or None.

    Returns:
        The report with its files.
    """
    files = {kind: str(folder / name) for kind, name in NAMES.items()}
    report = structs.replace(report, files=files | ({"junit": str(junit)} if junit else {}))
    document = compose(report)
    pictures = {} if dataset is None else make_thumbnails(whole(dataset), wanted_images(report))
    texts = {
        folder / NAMES["html"]: render_html(document, pictures),
        folder / NAMES["markdown"]: render_markdown(document),
        folder / NAMES["json"]: msgspec.json.format(to_json(report), indent=1).decode() + "\n",
        **({junit: render_junit(report)} if junit else {}),
    }
    write_together({path: text.encode() for path, text in texts.items()})
    if summary := os.environ.get(STEP_SUMMARY):
        with open(summary, "a", encoding="utf-8") as file:  # GitHub's own file, that all steps add to
            file.write(step_summary(report))
    return report
