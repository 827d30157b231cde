"""Type stubs of a release of TensorRT, made from the listing of what it has (see api/README.md).

api/10.3.0.json.gz --load_api--> names and signatures --write_stubs--> tensorrt/__init__.pyi, tensorrt_rtx/...
"""

from __future__ import annotations

import gzip
import json
import keyword
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

LISTINGS = Path(__file__).parent / "api"
RELEASES = ("10.3.0", "10.13.3", "10.16.1", "11.4.0", "rtx-1.7.1")

HEADER = """\
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, overload

from typing_extensions import Buffer, Never, final

__version__: str
"""

# What pybind11 calls a type, less its module, and what a stub calls it.
TYPES = {
    **{
        name: name for name in ("None", "bool", "bytes", "float", "int", "memoryview", "object", "str", "list", "tuple")
    },
    **{name: name for name in ("Buffer", "Iterable", "Sequence")},
    "List": "list",
    "Tuple": "tuple",
    "SupportsInt": "int",
    "SupportsFloat": "float",
    "buffer": "Buffer",
    "capsule": "object",
    "CapsuleType": "object",
    "function": "Callable[..., Any]",
    "Callable": "Callable[..., Any]",
    "IParserError": "ParserError",  # its name in C++
}

# pybind11 converts these arguments.
CONVERTED = {"Dims": "Dims | Sequence[int]", "FallbackString": "FallbackString | str", "Weights": "Weights | Any"}

# None is how these say that they failed, or that there is nothing.
OPTIONAL = {"build_serialized_network", "create_execution_context", "deserialize_cuda_engine", "get_timing_cache"}

# Base classes that a listing does not show: no method is inherited under the base's name.
BASES = {"Logger": "ILogger", "Profiler": "IProfiler", **dict.fromkeys(("Dims2", "Dims3", "Dims4", "DimsHW"), "Dims")}

# Properties whose type is not in their name.
PROPERTIES = {"name": "str", "dtype": "DataType", "engine": "ICudaEngine"}

# Special methods that bytes(plan), tuple(shape) and the like need.
SPECIAL_METHODS = {
    "IHostMemory": ["def __buffer__(self, flags: int, /) -> memoryview: ..."],
    "Dims": [
        "def __len__(self) -> int: ...",
        "def __iter__(self) -> Iterator[int]: ...",
        "@overload",
        "def __getitem__(self, index: int, /) -> int: ...",
        "@overload",
        "def __getitem__(self, index: slice, /) -> tuple[int, ...]: ...",
    ],
    "INetworkDefinition": [
        "def __len__(self) -> int: ...",
        "def __iter__(self) -> Iterator[ILayer]: ...",
        "def __getitem__(self, index: int, /) -> ILayer: ...",
    ],
}

# pybind11's enums are no enum.Enum: they cannot be iterated, but have __members__.
ENUM_METHODS = [
    "__members__: ClassVar[dict[str, {name}]]",
    "name: str",
    "value: int",
    "def __init__(self, value: int) -> None: ...",
    "def __int__(self) -> int: ...",
    "def __index__(self) -> int: ...",
]

Api = dict[str, dict[str, Any]]


def load_api(release: str) -> Api:
    """What a release has: `api` of its listing."""
    listing = json.loads(gzip.decompress((LISTINGS / f"{release}.json.gz").read_bytes()))
    api: Api = listing["api"]
    return api


def all_names(api: Api) -> set[str]:
    """Every name in a release: of the module, its classes and its enums."""
    return {*api, *(name for entry in api.values() for members in entry.values() for name in members)}


def write_stubs(folder: Path, api: Api) -> None:
    """Write the stubs, once under the name of each product: one code serves both."""
    text = "\n".join([HEADER, *module_lines(api)]) + "\n"
    for package in ("tensorrt", "tensorrt_rtx"):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.pyi").write_text(text, encoding="utf-8")


def module_lines(api: Api) -> Iterator[str]:
    """The lines of a module's stub."""
    for name, entry in api.items():
        if "enum" in entry:
            yield from enum_lines(name, entry["enum"])
        elif "class" in entry:
            yield from class_lines(name, entry["class"], api)
        else:
            yield from function_lines(name, entry["function"], api)


def enum_lines(name: str, members: Iterable[str]) -> Iterator[str]:
    """An enum of pybind11; within a class its name is dotted."""
    yield "@final"
    yield f"class {name.rpartition('.')[2]}:"
    yield from indented(f"{member}: ClassVar[{name}]" for member in members)
    yield from indented(line.format(name=name) for line in ENUM_METHODS)


def class_lines(name: str, members: dict[str, Any], api: Api) -> Iterator[str]:
    """A class; a capital member without a signature is an enum within it, such as ILogger.Severity."""
    bases = sorted(base_classes(name, members, api))
    yield f"class {name}({', '.join(bases)}):" if bases else f"class {name}:"
    inherited = {member for base in bases for member in api[base]["class"]}
    for member, signatures in members.items():
        if signatures == "property":
            yield from indented([f"{member}: {property_type(member, members, api)}"])
        elif member == "__init__" and not signatures:
            yield from indented(["def __init__(self, *, cannot_be_made: Never) -> None: ..."])
        elif signatures or member[0].islower():
            yield from indented(function_lines(member, signatures, api, is_method=True))
        elif member not in inherited:
            yield from indented(enum_lines(f"{name}.{member}", (value for value in members if value.isupper())))
    yield from indented(SPECIAL_METHODS.get(name, []))


def base_classes(name: str, members: dict[str, Any], api: Api) -> set[str]:
    """The classes whose methods a class lists as its own: their `self` has the type of the class that defines them."""
    signatures = [text for texts in members.values() if isinstance(texts, list) for text in texts]
    owners = {match[1] for text in signatures if (match := re.search(r"\(self: (?:\w+\.)*(\w+)[,)]", text))}
    plugins = {owner for owner in owners if owner.startswith("IPlugin")}  # theirs is often another's
    return ({*owners, BASES.get(name, name)} - plugins - {name}) & api.keys()


def property_type(name: str, siblings: dict[str, Any], api: Api) -> str:
    """The type that a property's name says: a listing does not."""
    if name.isupper() and "Severity" in siblings:
        return "ClassVar[ILogger.Severity]"
    if name.startswith("num_"):
        return "int"
    if name in PROPERTIES:
        return PROPERTIES[name]
    enum = "".join(part.capitalize() for part in name.split("_"))
    return enum if "enum" in api.get(enum, {}) else "Any"


def function_lines(name: str, signatures: list[str], api: Api, is_method: bool = False) -> Iterator[str]:
    """A function, or one for each overload ("1. f(...)", "2. f(...)", behind a summary of them)."""
    known = [text for text in signatures if "(*args, **kwargs)" not in text]
    if not known:  # a helper in Python, of which only the name is known
        yield f"def {name}({'self, ' if is_method else ''}*args: Any, **kwargs: Any) -> Any: ..."
    for text in known:
        if len(known) > 1:
            yield "@overload"
        arguments, _, answer = text[text.index("(") + 1 :].rpartition(")")
        parameters = python_parameters(arguments, api)
        if is_method and parameters[:1] != ["self"]:
            yield "@staticmethod"
        result = python_type(answer.removeprefix(" -> "), api)
        yield f"def {name}({', '.join(parameters)}) -> {result}{' | None' if name in OPTIONAL else ''}: ..."


def python_parameters(text: str, api: Api) -> list[str]:
    """The parameters between a signature's parentheses: "self", "name: type" or "name: type = ..."."""
    parameters = []
    default = ""
    # They are split at the commas that stand in no bracket. In Python none is required behind one with a default.
    for one in re.findall(r"(?:\[(?:[^][]|\[(?:[^][]|\[[^][]*\])*\])*\]|[^][,])+", text):
        declared, _, value = one.strip().partition(" = ")
        name, _, kind = declared.partition(": ")
        if name == "self":
            parameters.append(name)
            continue
        if re.fullmatch(r"arg\d+", name) or keyword.iskeyword(name):  # no name: it must be given by its place
            name = f"__{name}"
        kind = python_type(kind, api)
        kind = CONVERTED.get(kind, kind) + (" | None" if value == "None" else "")
        default = " = ..." if value else default
        parameters.append(f"{name}: {kind}{default}")
    return parameters


def python_type(text: str, api: Api) -> str:
    """A type of pybind11 as a stub writes it, and Any for what is unknown."""
    if "<" in text:  # a template of C++
        return "Any"

    def known(match: re.Match[str]) -> str:
        name = re.sub(r"^(?:tensorrt\w*\.)+", "", match[0])
        name = re.sub(r"^.*(?:::|(?:typing|typing_extensions|abc)\.)", "", name)
        return TYPES.get(name, name if name.split(".")[0] in api else "Any")

    return re.sub(r"[\w.:]+", known, text)


def indented(lines: Iterable[str]) -> Iterator[str]:
    """The lines in a class."""
    return (f"    {line}" for line in lines)
