"""What the two processes of a build tell each other: a `Request` in, a line of JSON for each event out."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from runtime.backends.tensorrt.options import TensorRtOptions


class Request(Struct, frozen=True):
    """One build.

    Attributes:
        product: name of the backend.
        model: path of the ONNX file.
        plan: path to write.
        image_shape: height, width and channels.
        batch: smallest, best and largest.
        device_mib: memory of the GPU, all of it; 0 where there is none.
        device: number of the GPU; None where there is none, so that the engine cannot be asked for its layers.
        timing_cache: path of a file to begin with and to write anew; empty for none.
        options: what is asked of TensorRT.
    """

    product: str
    model: str
    plan: str
    image_shape: tuple[int, int, int]
    batch: tuple[int, int, int]
    device: int | None = None
    device_mib: int = 0
    timing_cache: str = ""
    options: TensorRtOptions = TensorRtOptions()


class Start(Struct, frozen=True, tag="start"):
    """A phase begins, inside the one that began before it and is not done."""

    phase: str
    steps: int


class Step(Struct, frozen=True, tag="step"):
    """Of a phase one more step is done, counted from 0."""

    phase: str
    step: int


class Finish(Struct, frozen=True, tag="finish"):
    """A phase is done."""

    phase: str


class Log(Struct, frozen=True, tag="log"):
    """A warning of TensorRT's log."""

    text: str


class Success(Struct, frozen=True, tag="success"):
    """The plan is written.

    Attributes:
        version: of the library.
        layers: the type that each layer executes in; None where nothing could tell.
        reformats: layers of the engine that compute nothing, but bring a tensor into another form.
        peak_bytes: most memory that the process had; None where the system does not tell.
    """

    version: str
    layers: dict[str, str] | None
    peak_bytes: int | None
    reformats: int = 0


class Failure(Struct, frozen=True, tag="failure"):
    """There is no plan.

    Attributes:
        stage: in which TensorRT failed: `start` where it gave no builder, `write` where its plan cannot be written,
            `killed` and `crash` where its process ended without a word.
        text: the reason, in TensorRT's words where it had any.
        node, operator: of the ONNX graph; empty where none is blamed.
        short_of_memory: a tactic was left out because the device has too little memory.
    """

    stage: Literal["start", "parse", "build", "write", "killed", "crash"]
    text: str
    node: str = ""
    operator: str = ""
    short_of_memory: bool = False


Event: TypeAlias = Start | Step | Finish | Log | Success | Failure
