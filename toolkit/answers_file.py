"""Answers to images in a file: kept line by line beside it, so that a run that ended early can go on, then converted.

`FILE.part` holds JSON lines: what the answers hang on, then an answer each. When all are there they become `FILE`, in
one step, and it is removed.
"""

from __future__ import annotations

import csv
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec
from msgspec import Struct

from runtime.classification import Classified, ImageInput, Unreadable, name_of
from runtime.errors import OptionError, ToolkitError
from runtime.folder import flush, naming

ROWS = 1024  # of a row group of Parquet, at most
Result = Classified | Unreadable
S = TypeVar("S", bound=Struct)


class Header(Struct, frozen=True):
    """What answers hang on.

    Attributes:
        bundle: the digest of its manifest.
        top: how many classes there are for each image.
    """

    bundle: str
    top: int


class Line(Struct):
    """A line of `FILE.part`: of a `Classified` or of an `Unreadable`."""

    image: str
    top: tuple[msgspec.Raw, ...] | None = None


@contextmanager
def answers_file(output: Path, header: Header, *, resume: bool, force: bool) -> Iterator[AnswersFile]:
    """Open a file for answers. What was written stays, and can be resumed, whatever ends the `with` block.

    Args:
        output: the file; its suffix says the form, see `WRITERS`.
        header: what the answers hang on.
        resume: go on after the answers that an earlier run left; it may have left none.
        force: drop such answers.

    Raises:
        ToolkitError: answers were left and it is not said what is to become of them, or another run is writing them, or
            they hang on something else.
    """
    part = output.with_name(f"{output.name}.part")
    if part.exists() and not (resume or force):
        raise ToolkitError(
            f"{part} holds the answers of a run that ended early", "--resume goes on after them, --force starts over"
        )
    with naming(part), part.open("ab+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ToolkitError(f"another run is writing {part}", "wait for it, or give another file with -o") from error
        if not resume:
            file.truncate(0)
        yield AnswersFile(output, part, file, header)


class AnswersFile:
    """Answers on their way into a file.

    Attributes:
        done: how many an earlier run has left.
        failed: how many of those are of images that could not be read.
    """

    def __init__(self, output: Path, part: Path, file: BinaryIO, header: Header) -> None:
        self.output, self.part, self.file, self.header = output, part, file, header
        self.done = self.failed = 0
        whole = 0
        for number, line in enumerate(complete_lines(file)):
            if number:
                self.failed += self.decode(line, Line).top is None
            elif self.decode(line, Header) != header:
                raise ToolkitError(
                    f"{part} holds answers of another bundle, or another number of classes",
                    "give the bundle and --top of that run, or --force to start over",
                )
            self.done, whole = number, whole + len(line)
        file.truncate(whole)  # the end of a line that was cut off
        if not whole:
            self.append(header)

    def decode(self, line: bytes, kind: type[S]) -> S:
        try:
            found: S = msgspec.json.decode(line, type=kind)
        except msgspec.DecodeError as error:
            raise ToolkitError(f"{self.part} is damaged: {error}", "--force starts over") from error
        return found

    def result(self, line: bytes) -> Result:
        """The answer on a line."""
        return self.decode(line, Unreadable) if self.decode(line, Line).top is None else self.decode(line, Classified)

    def append(self, value: Struct) -> None:
        """Write a line; what comes next is written behind it."""
        self.file.write(msgspec.json.encode(value) + b"\n")

    def rest(self, images: Iterable[ImageInput]) -> Iterator[ImageInput]:
        """The images that have no answer yet, from all of them in the order of the earlier run.

        Raises:
            ToolkitError: they are others than in the earlier run.
        """
        rest = iter(images)
        with self.part.open("rb") as file:
            for number, line in enumerate(islice(complete_lines(file), 1, 1 + self.done)):
                image, answered = next(rest, None), self.decode(line, Line).image
                if image is None or name_of(image, number) != answered:
                    instead = "there is none" if image is None else f"it is {name_of(image, number)}"
                    raise ToolkitError(
                        f"image {number + 1} was {answered} in the run that {self.part} is of, and now {instead}",
                        "give the same images, or --force to start over",
                    )
        yield from rest

    def finish(self) -> None:
        """Write the file itself, when there is an answer for every image."""
        self.file.flush()
        temporary = self.output.with_name(f".{self.output.name}.{os.getpid()}.tmp")
        try:
            with self.part.open("rb") as file:
                lines = islice(complete_lines(file), 1, None)
                WRITERS[self.output.suffix.lower()](temporary, map(self.result, lines), self.header.top)
            flush(temporary)
            os.replace(temporary, self.output)
        finally:
            temporary.unlink(missing_ok=True)
        self.part.unlink()


def complete_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file from its beginning, but for a last one that was cut off."""
    file.seek(0)
    return (line for line in file if line.endswith(b"\n"))


def write_json_lines(path: Path, answers: Iterable[Result], top: int) -> None:
    """A line each, as `--json` prints them."""
    with path.open("wb") as file:
        for answer in answers:
            file.write(msgspec.json.encode(answer) + b"\n")


def write_csv(path: Path, answers: Iterable[Result], top: int) -> None:
    """A row each; three columns for each class."""
    columns = [f"{name}_{place}" for place in range(1, top + 1) for name in ("index", "label", "probability")]
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "error", "refused", *columns])
        for answer in answers:
            if isinstance(answer, Unreadable):
                rows.writerow([answer.image, answer.error, "", *[""] * len(columns)])
            else:
                refused = "" if answer.refused is None else str(answer.refused).lower()
                found = [cell for one in answer.top for cell in (one.index, one.label, f"{one.probability:.6g}")]
                rows.writerow([answer.image, "", refused, *found, *[""] * (len(columns) - len(found))])


def write_parquet(path: Path, answers: Iterable[Result], top: int) -> None:
    """A row each: image, error, refused, and the classes as a list of structures."""
    import pyarrow as pa
    from pyarrow import parquet

    answer = pa.struct({"index": pa.int32(), "label": pa.string(), "probability": pa.float32()})
    schema = pa.schema({"image": pa.string(), "error": pa.string(), "refused": pa.bool_(), "top": pa.list_(answer)})
    with parquet.ParquetWriter(path, schema, compression="zstd") as file:
        while rows := [msgspec.to_builtins(answer) for answer in islice(answers, ROWS)]:
            file.write_batch(pa.RecordBatch.from_pylist(rows, schema))


#: By suffix: writes answers, of which each has at most so many classes.
WRITERS: dict[str, Callable[[Path, Iterable[Result], int], None]] = {
    ".csv": write_csv,
    ".jsonl": write_json_lines,
    ".parquet": write_parquet,
}


def require_writer(output: Path) -> None:
    """Find out before the work whether a file of this form can be written.

    Raises:
        OptionError: no such form.
        ModuleNotFoundError: it takes pyarrow, which is not installed.
    """
    if output.suffix.lower() not in WRITERS:
        raise OptionError(f"{output} has none of the suffixes {', '.join(WRITERS)}", "they say what -o writes")
    if output.suffix.lower() == ".parquet":
        import pyarrow.parquet  # noqa: F401
