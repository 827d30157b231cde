"""Images with their answers, as they come: kept together, shown, and counted."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator

import click

from runtime.classification import Classified, ImageInput, Unreadable, classify
from runtime.progress import Stage, advance_or_stop
from runtime.session import Session
from toolkit.answers_file import AnswersFile, Result
from toolkit.console import print_table, printable
from toolkit.progress import BarStage

ROWS = 500  # of a table; the next ones come in another one


def answered(
    session: Session, images: Iterable[ImageInput], top: int, max_megapixels: float
) -> Iterator[tuple[ImageInput, Result]]:
    """`classify`, each image with its answer: it is kept until that is there, and no longer."""
    asked: deque[ImageInput] = deque()

    def kept() -> Iterator[ImageInput]:
        for image in images:
            asked.append(image)
            yield image

    for result in classify(session, kept(), top, max_megapixels):
        yield asked.popleft(), result


class Table:
    """Answers for people: some hundred in a table, and errors as they come.

    Args:
        answers: False shows errors alone.
    """

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.rows: list[list[str]] = []

    def take(self, result: Result) -> None:
        """The next one."""
        if isinstance(result, Unreadable):
            click.echo(f"error: {printable(result.error)}\nhint:  {result.hint}", err=True)
        elif self.answers:
            self.rows.append([result.image, in_words(result)])
            if len(self.rows) == ROWS:
                self.end()

    def end(self) -> None:
        """Print the rows that are left."""
        if self.rows:
            print_table("", ["image", "answer"], self.rows)
        self.rows.clear()


def in_words(result: Classified) -> str:
    """The classes of an image on one line."""
    answers = ", ".join(f"{answer.label} {100 * answer.probability:.1f} %" for answer in result.top)
    return answers + ("  (refused: below the threshold)" if result.refused else "")


class Meter:
    """Counts images, and shows how many there are in a second.

    Attributes:
        done: the images, those of an earlier run included.
        failed: how many of them could not be read.

    Args:
        stage: told of each.
        file: with what an earlier run has left; None where there was none.
    """

    def __init__(self, stage: Stage, file: AnswersFile | None) -> None:
        self.stage, self.start = stage, time.perf_counter()
        self.done, self.failed = (file.done, file.failed) if file else (0, 0)
        self.before = self.done
        stage.advance(self.done)

    def count(self, result: Result) -> None:
        """One more."""
        self.done += 1
        self.failed += isinstance(result, Unreadable)
        if isinstance(self.stage, BarStage):
            self.stage.live(f"{self.rate:,.0f} images/s")
        advance_or_stop(self.stage)

    @property
    def rate(self) -> float:
        """Images in a second of this run."""
        return (self.done - self.before) / max(time.perf_counter() - self.start, 1e-9)
