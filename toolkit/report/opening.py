"""Bundles, sessions and images of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from msgspec import structs

from runtime.backend import REFERENCE
from runtime.bundle import Bundle
from runtime.datasets import Dataset, evenly_spaced, has_both_splits, open_dataset
from runtime.errors import BackendError, DataError
from runtime.measure.cold import Opening
from runtime.session import Session


def open_bundles(paths: Sequence[Path], reference: Path | None) -> dict[str, Bundle]:
    """All of them, each once, the reference first where it was not among them, by the shortest names that differ."""
    given: dict[Path, Path] = {}
    for path in paths:
        given.setdefault(path.absolute(), path)
    if reference is not None and reference.absolute() not in given:
        given = {reference.absolute(): reference, **given}
    opened = [Bundle.open(path) for path in given.values()]
    return dict(zip(short_names(list(given)), opened, strict=True))


def short_names(paths: Sequence[Path]) -> list[str]:
    """The ends of paths, as long as they have to be to differ."""
    parts = [path.absolute().parts[1:] or ("/",) for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            break
    return names


def find_reference(bundles: Mapping[str, Bundle], reference: Path | None) -> str | None:
    """Whose answers the others are compared with."""
    place = reference and reference.absolute()
    for name, bundle in bundles.items():
        if bundle.path.absolute() == place or (place is None and bundle.manifest.precision == "fp32"):
            return name
    return None


def open_images(data: Path, count: int | None, bundles: Mapping[str, Bundle]) -> Dataset:
    """The images of a folder; of one with two halves the test half."""
    labels = next((bundle.spec.labels for bundle in bundles.values() if bundle.spec.labels), ())
    dataset = evenly_spaced(open_dataset(data, "test" if has_both_splits(data) else None, labels), count)
    if not len(dataset):
        raise DataError(f"there are no images in {data}", "give a folder with images")
    return dataset


def open_sessions(
    bundles: Mapping[str, Bundle], openings: Mapping[str, Opening], stack: ExitStack
) -> tuple[dict[str, Session], dict[str, str]]:
    """Sessions of those that run here, and why the others do not.

    Raises:
        BackendError: none does.
    """
    sessions: dict[str, Session] = {}
    absent: dict[str, str] = {}
    errors: list[BackendError] = []
    for name, opening in openings.items():
        try:
            sessions[name] = stack.enter_context(opening.open(bundles[name]))
        except BackendError as error:
            absent[name] = error.message
            errors.append(error)
    if not sessions:
        raise errors[0]
    return sessions, absent


def open_stand_ins(
    bundles: Mapping[str, Bundle], openings: Mapping[str, Opening], absent: Iterable[str], stack: ExitStack
) -> dict[str, Session]:
    """Where an engine does not run here, its graph still answers, on the reference backend."""
    found: dict[str, Session] = {}
    for name in absent:
        plain = structs.replace(openings[name], backend=REFERENCE, device=None)
        with suppress(BackendError):  # the report then says that it does not run here
            found[name] = stack.enter_context(plain.open(bundles[name]))
    return found
