"""Where images come from: files, folders, patterns, archives, lists of names. They are found as they are needed."""

from __future__ import annotations

import glob
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from runtime.classification import ImageFile, ImageInput, Unreadable, as_text
from runtime.errors import DataError
from runtime.images import MAX_MEGAPIXELS, SUFFIXES, most_bytes, walk_images
from runtime.lfs import refuse_pointer, start_of
from runtime.tar import Member

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVE_ERRORS = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)
ARCHIVE_HINT = "it may have been cut off while it was copied: copy it again"
CHUNK = 1 << 16


def find_sources(
    arguments: Iterable[str], max_megapixels: float = MAX_MEGAPIXELS, *, patterns: bool = True
) -> Iterator[ImageInput]:
    """The images that some words on a command line stand for, in their order.

    A folder stands for the pictures in it and in its subfolders, an archive (.zip, .tar and compressed ones) for those
    in it, which are read without unpacking it, and a pattern with *, ?, [] or ** for what is there of its like, by
    name. What else it is, is a file.

    Args:
        arguments: the words. A file that has the name of a pattern is that file.
        max_megapixels: what is too large for an image of so many is not read from an archive.
        patterns: False takes words as they are, as in a list of names.

    Raises:
        DataError: a folder cannot be listed, there is nothing of a pattern's like, or there are no images at all.
    """
    found, first = False, ""
    for name in expanded(arguments) if patterns else arguments:
        first = first or name
        for image in images_in(name, max_megapixels):
            found = True
            yield image
    if not found:
        raise DataError(f"no images in {first or 'the list'}", "give image files, or folders that hold some")


def expanded(arguments: Iterable[str]) -> list[str]:
    """Words, with what is there of a pattern's like, by name, in place of the pattern."""
    names: list[str] = []
    for argument in arguments:
        if glob.has_magic(argument) and not os.path.lexists(argument):
            like = sorted(glob.glob(argument, recursive=True))
            if not like:
                raise DataError(f"there is nothing like {argument}", "look at the pattern, and where it starts")
            names += like
        else:
            names.append(argument)
    return names


def images_in(name: str, max_megapixels: float) -> Iterator[ImageInput]:
    """The pictures in a folder or an archive; a file as it is."""
    if os.path.isdir(name):
        yield from walk_images(Path(name))
    elif is_archive(name) and os.path.exists(name):
        yield from archived_images(name, max_megapixels)
    else:
        yield name


def is_archive(name: str) -> bool:
    """By its suffix."""
    return name.lower().endswith((".zip", *TAR_SUFFIXES))


def archived_images(name: str, max_megapixels: float) -> Iterator[ImageInput]:
    """The pictures in an archive, in its order; where it is damaged, those before that, and then what is wrong."""
    members = zip_members if name.lower().endswith(".zip") else tar_members
    found = False
    try:
        for image in members(name, most_bytes(max_megapixels)):
            found = True
            yield image
    except ARCHIVE_ERRORS as error:
        shown = as_text(name)
        message, hint = f"the archive {shown} cannot be read: {error}", ARCHIVE_HINT
        try:
            refuse_pointer(start_of(name), shown, DataError)
        except DataError as pointer:
            message, hint = pointer.message, pointer.hint
        yield Unreadable(shown, message, hint)
        return
    if not found:
        yield Unreadable(as_text(name), f"no images in {as_text(name)}", "give an archive that holds some")


def tar_members(name: str, limit: int) -> Iterator[ImageInput]:
    """Of a tar file, which is read from its beginning to its end."""
    with tarfile.open(name, "r|*", tarinfo=Member) as archive:
        for member in archive:
            archive.members.clear()  # type: ignore[attr-defined]  # they would grow with the archive
            if member.isreg() and is_picture(member.name):
                shown = as_text(f"{name}/{member.name}")
                file = archive.extractfile(member) if member.size <= limit else None
                yield ImageFile(shown, file.read()) if file else too_large(shown, member.size)


def zip_members(name: str, limit: int) -> Iterator[ImageInput]:
    """Of a zip file."""
    with zipfile.ZipFile(name) as archive:
        for member in archive.infolist():
            if member.is_dir() or not is_picture(member.filename):
                continue
            shown = as_text(f"{name}/{member.filename}")
            try:
                with archive.open(member) as file:
                    data = file.read(limit + 1)  # what the archive says of its size may be wrong
            except (*ARCHIVE_ERRORS, RuntimeError) as error:  # a password, or a compression that Python does not know
                yield Unreadable(shown, f"cannot read {shown}: {error}", "unpack the archive, and give the folder")
                continue
            yield ImageFile(shown, data) if len(data) <= limit else too_large(shown, member.file_size)


def is_picture(member: str) -> bool:
    """Whether the name of an archive's member is that of a picture, and not a hidden one."""
    path = PurePosixPath(member)
    hidden = any(part == "__MACOSX" or (part[:1] == "." and part not in (".", "..")) for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def too_large(name: str, size: int) -> Unreadable:
    """A member of an archive that is no picture of the size that is allowed."""
    return Unreadable(
        name,
        f"{name} has {size / 1e6:,.0f} MB, too many for the limit of megapixels",
        "scale it down, or raise the limit",
    )


def count_sources(arguments: Iterable[str]) -> int | None:
    """How many images some words stand for, where that can be told without reading archives; else None."""
    total = 0
    for name in expanded(arguments):
        if is_archive(name):
            return None
        total += sum(1 for _ in walk_images(Path(name))) if os.path.isdir(name) else 1
    return total


def names_in(file: BinaryIO) -> Iterator[str]:
    """The names in a list, one on each line, or with a NUL byte behind each, as `find -print0` writes them."""
    rest, mark = b"", b""
    while chunk := file.read1(CHUNK) if hasattr(file, "read1") else file.read(CHUNK):
        mark = mark or (b"\0" if b"\0" in chunk else b"\n")
        *names, rest = (rest + chunk).split(mark)
        yield from (os.fsdecode(name.removesuffix(b"\r")) for name in names if name.strip())
    if rest.strip():
        yield os.fsdecode(rest.removesuffix(b"\r"))
