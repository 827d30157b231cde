"""Packages that are each in order, but not together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from toolkit.doctor.finding import Finding
from toolkit.doctor.installed import Installed, folder_of, read_field
from toolkit.doctor.nvidia import bindings_requirement
from toolkit.doctor.packages import SAME_MODULE, parse_version
from toolkit.doctor.probe import Answer

# What Python says where OpenCV was built for numpy 1 and numpy 2 is there.
BUILT_FOR_NUMPY_1 = re.compile(r"numpy\.core\.multiarray failed to import|_ARRAY_API not found")
CUDA_NAME = re.compile(r"^(tensorrt(?:-rtx)?)-cu(\d+)(?:-|$)")


@dataclass(frozen=True)
class Clash:
    """Packages that clash, and what to do.

    Attributes:
        modules: whose failure this explains.
        finding: what clashes, and the command.
    """

    modules: tuple[str, ...]
    finding: Finding


def find_clashes(installed: Installed, imported: Mapping[str, Answer], jetson_cuda: int | None) -> list[Clash]:
    """All clashes.

    Args:
        installed: the metadata that is there.
        imported: what came of importing each module, by module; `onnx file` is the answer to the task `onnx`.
        jetson_cuda: the major version of this Jetson's CUDA, if it is one.
    """
    return [
        *same_files(installed),
        *twice(installed),
        *numpy_of_opencv(installed, imported),
        *onnx_format(installed, imported),
        *two_cudas(installed),
        *cuda_major(installed, jetson_cuda),
    ]


def same_files(installed: Installed) -> Iterator[Clash]:
    """Distributions that write the same module into the same folder: each overwrites parts of the other."""
    for module, names in SAME_MODULE.items():
        there = [name for name in names if installed.has(name)]
        folders = Counter(installed.folder(name) for name in there)
        both = [name for name in there if folders[installed.folder(name)] > 1]
        if both:
            yield Clash(
                (module,),
                Finding(
                    True,
                    f"{' and '.join(both)} are both installed, and write the same folder {module}: keep one",
                    f"pip uninstall -y {' '.join(both)} && pip install --force-reinstall --no-deps {both[0]}",
                ),
            )


def twice(installed: Installed) -> Iterator[Clash]:
    """A distribution of which one folder holds two versions: an installation that was interrupted."""
    for name, distributions in sorted(installed.distributions.items()):
        for folder, count in Counter(map(folder_of, distributions)).items():
            if count > 1:
                versions = [read_field(one, "Version") for one in distributions if folder_of(one) == folder]
                uninstall = " && ".join([f"pip uninstall -y {name}"] * count)  # each takes one away
                yield Clash(
                    (name.replace("-", "_"),),
                    Finding(
                        True,
                        f"{folder} holds {name} more than once: {' and '.join(versions)}",
                        f"{uninstall} && pip install --no-deps {name}",
                    ),
                )


def numpy_of_opencv(installed: Installed, imported: Mapping[str, Answer]) -> Iterator[Clash]:
    """OpenCV built for numpy 1, and numpy 2 installed."""
    numpy = parse_version(str(imported.get("numpy", Answer()).value or installed.version("numpy")))
    if numpy is None or numpy.major < 2 or not BUILT_FOR_NUMPY_1.search(imported.get("cv2", Answer()).error):
        return
    provider = next((name for name in SAME_MODULE["cv2"] if installed.has(name)), None)
    # Without metadata it is JetPack's, which has GStreamer: that one stays.
    command = f"pip install --upgrade {provider}" if provider else "pip install 'numpy>=1.26,<2'"
    yield Clash(("cv2",), Finding(True, f"OpenCV was built for numpy 1, and numpy {numpy} is installed", command))


def onnx_format(installed: Installed, imported: Mapping[str, Answer]) -> Iterator[Clash]:
    """A package onnx that writes files which ONNX Runtime does not read; it was asked to read one."""
    said = imported.get("onnx file", Answer()).error
    if "Unsupported model IR version" in said or "opset" in said.lower():
        provider = next((name for name in SAME_MODULE["onnxruntime"] if installed.has(name)), "onnxruntime")
        yield Clash(
            (),
            Finding(
                False,  # the toolkit's own files are of an older version, on purpose
                f"onnx {installed.version('onnx')} can write files that {provider} {installed.version(provider)} does "
                "not read: models from elsewhere may be refused",
                f"pip install --upgrade {provider}",
            ),
        )


def two_cudas(installed: Installed) -> Iterator[Clash]:
    """TensorRT for two major versions of CUDA: both write the same folders."""
    matches = [match for name in sorted(installed.distributions) if (match := CUDA_NAME.match(name))]
    for family in sorted({match[1] for match in matches}):
        majors = sorted({int(match[2]) for match in matches if match[1] == family})
        if len(majors) > 1:
            names = [match.string for match in matches if match[1] == family]
            packages = " and ".join(f"{family}-cu{major}" for major in majors)
            yield Clash(
                (family.replace("-", "_"),),
                Finding(
                    True,
                    f"{packages} are both installed, and write the same folders: keep the one that the driver supports",
                    f"pip uninstall -y {' '.join([family] * installed.has(family) + names)} && "
                    f"pip install {family}-cu{majors[0]}",
                ),
            )


def cuda_major(installed: Installed, jetson_cuda: int | None) -> Iterator[Clash]:
    """TensorRT for one major version of CUDA, and CUDA's bindings for another."""
    majors = {name: int(match[2]) for name in installed.distributions if (match := CUDA_NAME.match(name))}
    if not majors and jetson_cuda and installed.has("tensorrt"):
        majors = {"tensorrt": jetson_cuda}
    there = [name for name in ("cuda-python", "cuda-bindings") if installed.has(name)]
    name = there[0] if there else ""
    bindings = parse_version(installed.version(name))
    if bindings is None or bindings.major in majors.values() or not majors:
        return
    tensorrt, major = min(majors.items())
    yield Clash(
        ("cuda.bindings",),
        Finding(
            True,
            f"{tensorrt} is for CUDA {major}, and {name} {bindings} for CUDA {bindings.major}",
            # Not --force-reinstall: that takes another numpy, too, and old files of cuda-python stay.
            f"pip uninstall -y {' '.join(there)} && pip install {bindings_requirement(major)}",
        ),
    )
