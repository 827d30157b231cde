"""What a report is made of, before it is HTML or Markdown: both show the same blocks. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from toolkit.report.charts import Chart

Verdict: TypeAlias = Literal["", "good", "bad"]


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: empty where the value is missing.
        asides: what belongs to it, such as its interval.
        missing: why it is; shown below the table.
        verdict: a colour beside the words, never in place of them.
        shade: 0..1, how dark the cell is.
    """

    text: str
    asides: tuple[str, ...] = ()
    missing: str = ""
    verdict: Verdict = ""
    shade: float = 0.0


@dataclass(frozen=True)
class Column:
    """The head of a column.

    Attributes:
        name: with the unit.
        number: whether its cells are numbers, which stand to the right.
    """

    name: str
    number: bool = True


@dataclass(frozen=True)
class Table:
    """Rows whose first cell names them.

    Attributes:
        caption: what it shows; no other table of the report has the same.
        columns: heads.
        rows: as many cells each.
        note: how to read it; empty where it needs no word.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    @property
    def reasons(self) -> list[str]:
        """Why values are missing, each reason once."""
        return list(dict.fromkeys(cell.missing for row in self.rows for cell in row if cell.missing))


@dataclass(frozen=True)
class Words:
    """A paragraph.

    Attributes:
        text: of it.
        tone: `lead` for what matters most.
    """

    kind: ClassVar[str] = "words"
    text: str
    tone: Literal["plain", "lead"] = "plain"


@dataclass(frozen=True)
class Items:
    """A list of sentences.

    Attributes:
        texts: one by one.
        heading: in front of them.
        tone: `warning` for what makes figures doubtful.
    """

    kind: ClassVar[str] = "items"
    texts: tuple[str, ...]
    heading: str = ""
    tone: Literal["plain", "warning"] = "plain"


@dataclass(frozen=True)
class Terms:
    """Names with what they mean or are.

    Attributes:
        pairs: in order.
    """

    kind: ClassVar[str] = "terms"
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Pictures:
    """Pictures side by side.

    Attributes:
        charts: in order.
        key: the engines by number.
    """

    kind: ClassVar[str] = "pictures"
    charts: tuple[Chart, ...]
    key: tuple[str, ...]


@dataclass(frozen=True)
class Frame:
    """An image of a gallery.

    Attributes:
        image: counted from 0 in the set.
        name: for people.
        texts: the right answer where it is known, and both that were given.
    """

    image: int
    name: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Gallery:
    """Images with a line each.

    Attributes:
        frames: in order.
    """

    kind: ClassVar[str] = "gallery"
    frames: tuple[Frame, ...]


@dataclass(frozen=True)
class Details:
    """What is shown when it is asked for.

    Attributes:
        summary: what it holds.
        blocks: that.
    """

    kind: ClassVar[str] = "details"
    summary: str
    blocks: tuple[Block, ...]


Block: TypeAlias = Table | Words | Items | Terms | Pictures | Gallery | Details


@dataclass(frozen=True)
class Section:
    """A part with a heading.

    Attributes:
        anchor: its name in addresses.
        title: its heading.
        blocks: what stands in it.
        sections: one level further down.
    """

    anchor: str
    title: str
    blocks: tuple[Block, ...] = ()
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        title: its heading.
        about: when and with what it was made.
        lead: what stands in front of the first section.
        sections: in order.
    """

    title: str
    about: str
    lead: tuple[Block, ...]
    sections: tuple[Section, ...]


def table(caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], note: str = "") -> Table:
    """A table of any sequences."""
    return Table(caption, tuple(columns), tuple(tuple(row) for row in rows), note)


def text_cells(*texts: str) -> list[Cell]:
    """Cells of words."""
    return [Cell(text) for text in texts]


TEXT = False  # of `Column.number`
