"""A report as GitHub-flavoured Markdown: what the HTML file says, with words in place of pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator

from toolkit.console import printable
from toolkit.report import tables
from toolkit.report.compose import gates, lead, title
from toolkit.report.document import (
    Block,
    Cell,
    Details,
    Document,
    Gallery,
    Items,
    Pictures,
    Section,
    Table,
    Terms,
    Words,
)
from toolkit.report.result import Report

# What would be markup. `_` only at the edge of a word, `.` and `-` nowhere: names are full of them.
SPECIAL = re.compile(r"[\\`*|\[\]~$#]|(?<![^\W_])_|_(?![^\W_])")


def render_markdown(document: Document) -> str:
    """All of it."""
    lines = [f"# {escape(document.title)}", "", escape(document.about), ""]
    for block in document.lead:
        lines += write(block)
    for section in document.sections:
        lines += write_section(section, 2)
    return "\n".join(lines).rstrip() + "\n"


def step_summary(report: Report) -> str:
    """What decides, for the page of a run of GitHub Actions."""
    lines = [f"## {escape(title(report))}", ""]
    for block in (*lead(report), tables.summary(report)):
        lines += write(block)
    limits = gates(report)
    return "\n".join([*lines, *(write_section(limits, 3) if limits else ())]).rstrip() + "\n"


def write_section(section: Section, level: int) -> Iterator[str]:
    """A heading and what stands below it."""
    yield from (f"{'#' * level} {escape(section.title)}", "")
    for block in section.blocks:
        yield from write(block)
    for part in section.sections:
        yield from write_section(part, level + 1)


def write(block: Block) -> Iterator[str]:
    """The lines of a block, the last one empty."""
    match block:
        case Table():
            yield from write_table(block)
        case Words(tone="lead"):
            yield f"**{escape(block.text)}**"
        case Words():
            yield escape(block.text)
        case Items():
            mark = "> " if block.tone == "warning" else ""
            yield from (f"{mark}{escape(block.heading)}", mark.rstrip()) if block.heading else ()
            yield from (f"{mark}- {escape(text)}" for text in block.texts)
        case Terms():
            yield from (f"- **{escape(name)}**: {escape(meaning)}" for name, meaning in block.pairs)
        case Pictures():
            yield from (f"- **{escape(chart.title)}**: {escape(chart.description)}" for chart in block.charts)
        case Gallery():
            yield from (f"- {escape(frame.name)}: {escape('; '.join(frame.texts))}" for frame in block.frames)
        case Details():
            yield from ("<details>", f"<summary>{escape(block.summary)}</summary>", "")
            for inner in block.blocks:
                yield from write(inner)
            yield "</details>"
    yield ""


def write_table(table: Table) -> Iterator[str]:
    """A table with its caption above, and why values are missing below."""
    yield from (f"**{escape(table.caption)}**", "")
    yield row([escape(column.name) for column in table.columns])
    yield row(["---:" if column.number else "---" for column in table.columns])
    for cells in table.rows:
        yield row([write_cell(cell, table.reasons) for cell in cells])
    if table.note:
        yield from ("", escape(table.note))
    if table.reasons:
        yield ""
        yield from (f"- <sup>{index}</sup> {escape(reason)}" for index, reason in enumerate(table.reasons, 1))


def write_cell(cell: Cell, reasons: list[str]) -> str:
    """A value with what belongs to it, or a dash with the number of the reason."""
    if cell.missing:
        return f"- <sup>{reasons.index(cell.missing) + 1}</sup>"
    return escape(" ".join([cell.text, *([f"({', '.join(cell.asides)})"] if cell.asides else [])]))


def row(cells: list[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def escape(text: str) -> str:
    """Text that shows as it is: no markup, no HTML, no links to people, issues or addresses."""
    safe = SPECIAL.sub(lambda match: f"\\{match[0]}", printable(text))
    safe = safe.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
    safe = safe.replace("://", "&#58;//").replace("www.", "www&#46;")
    return re.sub(r"^(\d*)([-+.)])(?=\s|$)", r"\1\\\2", safe.strip())  # would begin a list
