"""A bundle: a folder with a portable ONNX model and what is known of it. Immutable once written.

Files that the manifest does not name are no part of it: they are neither read nor copied, and `--force` does not
remove them.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import structs

from runtime import canonical
from runtime.errors import BundleCorruptError, BundleError
from runtime.folder import Draft
from runtime.lfs import refuse_pointer, start_of
from runtime.manifest import SCHEMA_VERSION, FileEntry, Manifest, SchemaOnly
from runtime.onnx_file import require_safe
from runtime.probe import Probe
from runtime.spec import ModelSpec

MANIFEST = "manifest.json"
LABELS = "labels.txt"
MODEL = "model.onnx"
PLAN = "engine.plan"
PROBE = "probe.npz"
CALIBRATION = "calibration.json"
REQUIRED_FILES = (MODEL, PROBE)
NOT_IN_LABELS = ("\n", "\r", "\ufeff")  # the last is what some editors put before a text: it does not show
MAX_MANIFEST_BYTES = 64 << 20
REBUILD = "copy the bundle again from where it was built, or build it again"


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes:
        path: its folder.
        manifest: what it says of itself.
        spec: what its model takes and gives, labels included.
        probe: inputs with the answers that they should get.
    """

    path: Path
    manifest: Manifest
    spec: ModelSpec
    probe: Probe

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Open a folder and verify every file that its manifest names.

        Raises:
            BundleCorruptError: no bundle, not whole, or written by a newer toolkit.
        """
        path = Path(path)
        manifest = read_manifest(path)
        for name, entry in manifest.files.items():
            verify_file(path, name, entry)
        try:
            require_safe(path / MODEL)
        except (OSError, ValueError) as error:
            raise BundleCorruptError(f"{path / MODEL} cannot be used: {error}", REBUILD) from error
        labels = read_labels(path / LABELS) if LABELS in manifest.files else ()
        try:
            spec = structs.replace(manifest.spec, labels=labels)
            spec.__post_init__()
        except ValueError as error:
            raise BundleCorruptError(f"{path / LABELS}: {error}", REBUILD) from error
        return cls(path, manifest, spec, Probe.read(path / PROBE, spec))

    @property
    def model_path(self) -> Path:
        return self.path / MODEL


def is_bundle(path: Path) -> bool:
    """Whether a folder claims to be a bundle."""
    return os.path.isfile(path / MANIFEST)  # False too where the folder may not be read


def write_bundle(draft: Draft, manifest: Manifest) -> None:
    """Seal and publish a draft whose other files are written already.

    Args:
        draft: the folder; every file in it becomes part of the bundle.
        manifest: without `files`, `digest`; labels in its spec go to labels.txt.

    Raises:
        BundleError: a label cannot be a line of labels.txt, or the model cannot be in a bundle.
        msgspec.ValidationError: a value of the manifest is out of range, so nobody could read it back.
    """
    broken = next((label for label in manifest.spec.labels if any(mark in label for mark in NOT_IN_LABELS)), None)
    if broken is not None:
        raise BundleError(
            f"the label {broken!r} has a line break or a byte order mark in it", "give each class a name of one line"
        )
    try:
        require_safe(draft.path / MODEL)
    except ValueError as error:
        raise BundleError(
            f"the model cannot be in a bundle: {error}", "give a model in one file, without loops"
        ) from error
    if manifest.spec.labels:
        (draft.path / LABELS).write_text("".join(f"{label}\n" for label in manifest.spec.labels), encoding="utf-8")
    files = {file.name: FileEntry(canonical.digest_file(file), file.stat().st_size) for file in draft.path.iterdir()}
    whole = structs.replace(manifest, files=files, spec=structs.replace(manifest.spec, labels=()))
    whole = msgspec.convert(msgspec.to_builtins(whole), Manifest)  # as it is read: 1 is 1.0
    (draft.path / MANIFEST).write_bytes(canonical.to_bytes(whole.sealed()))
    draft.publish()


def read_manifest(folder: Path) -> Manifest:
    """Read and check manifest.json alone."""
    path = folder / MANIFEST
    if not os.path.exists(path):  # unlike Path.exists, it takes a name that is too long for one that is not there
        there = "it is a file" if os.path.isfile(folder) else "no such folder"
        raise BundleCorruptError(
            f"{folder} is not a bundle: {'it has no manifest.json' if os.path.isdir(folder) else there}",
            "give the folder that `toolkit build` wrote",
        )
    data = read_regular(path, MAX_MANIFEST_BYTES)
    try:
        version = msgspec.json.decode(data, type=SchemaOnly).schema_version
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BundleCorruptError(f"{path}: {error}", REBUILD) from error
    if version != SCHEMA_VERSION:
        raise BundleCorruptError(
            f"{path} has schema version {version}; this toolkit reads {SCHEMA_VERSION}",
            "update the toolkit on this machine" if version > SCHEMA_VERSION else "build the bundle again",
        )
    manifest = canonical.from_bytes(data, Manifest, path, BundleCorruptError, REBUILD)
    if manifest.digest != manifest.expected_digest():
        raise BundleCorruptError(f"{path} does not match its own digest: it was changed", REBUILD)
    missing = [name for name in REQUIRED_FILES if name not in manifest.files]
    if missing:
        raise BundleCorruptError(f"{path} does not name {missing[0]}", REBUILD)
    return manifest


def verify_file(folder: Path, name: str, entry: FileEntry) -> None:
    """Hold one file to its size and digest; it must lie in the folder itself."""
    if name in (".", "..", MANIFEST) or Path(name).name != name or "\\" in name or not name.isprintable():
        raise BundleCorruptError(f"{folder / MANIFEST} names {name!r}, which is not a file in its folder", REBUILD)
    path = folder / name
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        raise BundleCorruptError(f"{path} is missing", REBUILD) from None
    except OSError as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise BundleCorruptError(f"{path} is not a regular file", "a bundle has no links and no folders: copy it again")
    if status.st_size != entry.size:
        refuse_pointer(start_of(path), path, BundleCorruptError)
        raise BundleCorruptError(f"{path} has {status.st_size} bytes, and had {entry.size} when it was built", REBUILD)
    try:
        sha256 = canonical.digest_file(path)
    except OSError as error:
        raise unreadable(path, error) from error
    if sha256 != entry.sha256:
        raise BundleCorruptError(f"{path} is not what was built: its sha256 differs", REBUILD)


def unreadable(path: Path, error: OSError) -> BundleCorruptError:
    """The error for a file that the system does not let us read."""
    return BundleCorruptError(f"cannot read {path}: {error.strerror}", f"look at its permissions, or {REBUILD}")


def read_regular(path: Path, limit: int) -> bytes:
    """The content of a file that is no link, no device and not too large."""
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
        raise BundleCorruptError(f"{path} is not a regular file of at most {limit >> 20} MiB", REBUILD)
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def read_labels(path: Path) -> tuple[str, ...]:
    """One label a line, UTF-8."""
    try:
        text = path.read_bytes().decode("utf-8")  # read_text would turn other line ends into ours
    except UnicodeDecodeError as error:
        raise BundleCorruptError(f"{path} is not UTF-8: {error}", REBUILD) from error
    if "\r" in text or "\ufeff" in text or not text.endswith("\n"):
        raise BundleCorruptError(f"{path} is not one label a line, as it is written here", REBUILD)
    return tuple(text.removesuffix("\n").split("\n"))
