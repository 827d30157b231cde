"""Whether sdist and wheel hold what git has of the packages, and nothing else: `make release`."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("calibration", "export", "runtime", "toolkit")
BESIDE = {"LICENSE", "NOTICE", "README.md", "pyproject.toml"}  # in an sdist


def tracked() -> set[str]:
    """The files of the packages that git knows."""
    done = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")) - {""}


def wheel_files(path: Path) -> set[str]:
    """The files of a wheel without what tells of it."""
    names = zipfile.ZipFile(path).namelist()
    return {name for name in names if not name.split("/")[0].endswith(".dist-info")}


def sdist_files(path: Path) -> set[str]:
    """The files of an sdist without what setuptools writes, and the `tests/test*.py` that it takes by habit."""
    with tarfile.open(path) as archive:
        names = [member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()]
    names = [name for name in names if ".egg-info/" not in name and name not in ("PKG-INFO", "setup.cfg")]
    return {name for name in names if not fnmatch(name, "tests/test*.py")}


def differences(name: str, found: set[str], wanted: set[str]) -> Iterator[str]:
    """What is missing and what is too much, a line each."""
    yield from (f"{name} lacks {file}" for file in sorted(wanted - found))
    yield from (f"{name} has {file}, which it should not" for file in sorted(found - wanted))


def complaints(folder: Path, wanted: set[str]) -> Iterator[str]:
    """What is wrong with the two files in a folder."""
    wheels, sdists = list(folder.glob("*.whl")), list(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        yield f"{folder} has {len(wheels)} wheels and {len(sdists)} sdists, not one of each"
        return
    yield from differences(wheels[0].name, wheel_files(wheels[0]), wanted)
    yield from differences(sdists[0].name, sdist_files(sdists[0]), wanted | BESIDE)


def main() -> int:
    folder = Path(sys.argv[1])
    found = list(complaints(folder, tracked()))
    for line in found:
        print(line, file=sys.stderr)
    for path in sorted(folder.iterdir()):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
