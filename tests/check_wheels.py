"""Whether every package that a Jetson needs has a wheel for it, with sizes: `make check-wheels`.

pip itself resolves the base requirements and the `cpu` extra for 64-bit ARM and downloads what it chose. It evaluates
markers such as `python_version < "3.11"` for the Python that runs it, which matters for none of these packages.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parents[1]
DEVICES = {"JetPack 6": ("3.10", 35), "JetPack 7": ("3.12", 39)}  # Python, and the minor version of glibc 2


def download(requirements: list[str], python: str, glibc: int, folder: Path) -> subprocess.CompletedProcess[str]:
    """Let pip resolve and download wheels for a device; it fails where one is missing."""
    platforms = ["manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, glibc + 1))]
    return subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--only-binary=:all:", "--implementation", "cp", "--python-version", python, "--dest", str(folder)),
            *(f"--platform={platform}" for platform in platforms),
            *requirements,
        ],
        capture_output=True,
        text=True,
    )


def check(device: str, python: str, glibc: int, requirements: list[str]) -> list[str]:
    """Print the wheels of one device; give the requirements that cannot be met."""
    print(f"\n{device}: Python {python}, glibc 2.{glibc}, aarch64")
    with tempfile.TemporaryDirectory() as folder:
        done = download(requirements, python, glibc, Path(folder))
        wheels = sorted(Path(folder).glob("*.whl"), key=lambda wheel: wheel.name.lower())
        for wheel in wheels if done.returncode == 0 else ():
            name, version, *_, platform = wheel.stem.split("-")
            print(f"  {name:20} {version:12} {wheel.stat().st_size / 1e6:7.1f} MB  {platform.split('.')[0]}")
        if done.returncode == 0:
            print(f"  {'together':33} {sum(wheel.stat().st_size for wheel in wheels) / 1e6:7.1f} MB")
            return []
        print(done.stderr.strip())
        # Together they tell only the first that fails.
        missing = [one for one in requirements if download([one], python, glibc, Path(folder)).returncode != 0]
        return missing or ["the requirements contradict each other"]


def main() -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["cpu"]]
    missing = {device: check(device, *target, requirements) for device, target in DEVICES.items()}
    for device, names in missing.items():
        if names:
            print(f"\nno wheel for {device}: {', '.join(names)}", file=sys.stderr)
    return 1 if any(missing.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
