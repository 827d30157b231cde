"""Reports as `report` makes them, of engines that nobody built."""

from __future__ import annotations

from msgspec.structs import replace

from runtime.measure.result import Conditions, Interval, Machine, Pairing
from runtime.spec import Precision
from tests.toolkit.report.values import (
    BUSY,
    DIGITS,
    HOSTILE,
    MACHINE,
    PAIRING,
    accuracy,
    engine,
    layers,
    performance,
    report,
)
from toolkit.gates import GateResult
from toolkit.report.result import Against, Change, Report


def alone() -> Report:
    """One engine without images, only timed."""
    one = engine("lenet-int8", "int8", "openvino", performance(0.118, None, 1, everything=False), None)
    return report((one,), "lenet-int8 is the only engine: 0.118 ms.", "lenet-int8")


def gates(p50: float, missed: bool) -> tuple[GateResult, ...]:
    return (
        GateResult("p99_ms", 0.3, "<=", 1.4 * p50, 1.4 * p50 <= 0.3),
        GateResult("drop_points", 0.5, "<=", None if missed else 0.04, not missed, "no labels" if missed else ""),
        GateResult("images_per_second", 4000.0, ">=", 1000 / p50, 1000 / p50 >= 4000),
    )


def against() -> Against:
    """An earlier report."""
    changes = (
        Change("lenet-int8-openvino", "p50_ms", 0.131, 0.118, Interval(0.88, 0.93), "better"),
        Change("lenet-int8-openvino", "top1", 98.90, 98.89, Interval(-0.3, 0.28), "same"),
        Change("lenet-int8-onnxruntime", "p50_ms", 0.201, 0.234, Interval(1.1, 1.2), "worse"),
        Change("lenet-fp32-openvino", "size_bytes", 246_000, 246_900, None, "unknown"),
    )
    return Against("old.json", "2026-10-01T12:00:00Z", ("openvino was 2026.3.0",), changes, ("lenet-fp16",))


def four() -> Report:
    """Four engines, ten classes, all that can be measured, and an earlier report."""
    specs: tuple[tuple[str, Precision, str, float, float], ...] = (
        ("lenet-fp32-onnxruntime", "fp32", "onnxruntime", 0.412, 98.93),
        ("lenet-fp32-openvino", "fp32", "openvino", 0.231, 98.93),
        ("lenet-int8-openvino", "int8", "openvino", 0.118, 98.89),
        ("lenet-int8-onnxruntime", "int8", "onnxruntime", 0.234, 98.81),
    )
    engines = tuple(
        engine(
            name,
            precision,
            backend,
            performance(p50, None if index == 0 else 0.412, index),
            accuracy(top1, DIGITS, 10_000, None if index == 0 else PAIRING, index, 0 if index < 2 else 6),
            gates=gates(p50, missed=index == 3),
        )
        for index, (name, precision, backend, p50, top1) in enumerate(specs)
    )
    text = "lenet-int8-openvino is the fastest within the budget: 3.49 times as fast as lenet-fp32-onnxruntime."
    made = report(engines, text, "lenet-int8-openvino", ("lenet-fp32-openvino", "lenet-int8-openvino"))
    return replace(made, against=against())


def many() -> Report:
    """Eight engines with long names, with the machine busy."""
    names = [f"resnet18-imagenet-finetuned-2026-11-{day}-calibrated-entropy-int8-batch1" for day in range(10, 18)]
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8", "int8-fp16", "int8", "int8", "int8", "int8")
    engines = tuple(
        engine(
            name,
            precisions[index],
            "onnxruntime",
            performance(31.0 / (1 + 0.3 * index), None if index == 0 else 31.0, index),
            accuracy(69.7 - 0.05 * index, DIGITS, 10_000, None if index == 0 else PAIRING, index),
            count=21,
        )
        for index, name in enumerate(names)
    )
    made = report(engines, f"{names[7]} is the fastest: 3.1 times as fast.", names[7], (names[0], names[7]))
    return replace(made, conditions=BUSY, warnings=("the images are few: 100",))


def thousand(classes: int = 1000) -> Report:
    """Two engines and many classes."""
    labels = tuple(f"class {index}, also called number {index}" for index in range(classes))
    engines = (
        engine(
            "fp32",
            "fp32",
            "onnxruntime",
            performance(21.0, None, 1, everything=False),
            accuracy(71.3, labels, 50_000, None, 1),
        ),
        engine("int8", "int8", "openvino", performance(8.0, 21.0, 2), accuracy(71.1, labels, 50_000, PAIRING, 2, 30)),
    )
    return report(engines, "int8 is the fastest within the budget.", "int8", ("fp32", "int8"))


def hundred() -> Report:
    """As many classes as a confusion matrix is drawn for."""
    whole = thousand(100)
    return replace(whole, engines=whole.engines[:1])


def hostile() -> Report:
    """Every name that somebody else may choose is chosen badly."""
    labels = tuple(f"{HOSTILE}{index}" for index in range(12))
    made = tuple(
        replace(
            engine(
                f"{HOSTILE}{index}",
                "int8",
                HOSTILE,
                performance(0.1 + index, 0.1 if index else None, index),
                accuracy(90, labels, 1200, PAIRING if index else None, index, 3),
                gates=(GateResult("top1", 99.0, ">=", None, False, HOSTILE),),
            ),
            bundle=HOSTILE,
            model=HOSTILE,
            device=HOSTILE,
            toolkit_version=HOSTILE,
            layers=tuple(replace(layer, name=HOSTILE, reason=HOSTILE) for layer in layers(3, 1)),
        )
        for index in range(2)
    )
    whole = report(made, HOSTILE, made[0].name)
    machine = replace(MACHINE, name=HOSTILE, cpu=HOSTILE, gpus=(HOSTILE,), packages={HOSTILE: HOSTILE})
    busy = replace(BUSY, warnings=(HOSTILE,), governor=HOSTILE)
    return replace(whole, machine=machine, conditions=busy, command=HOSTILE, data=HOSTILE, warnings=(HOSTILE,))


def unlabelled() -> Report:
    """Images that nobody labelled, and an engine that does not run here."""
    whole = four()
    engines = tuple(
        replace(
            one,
            accuracy=None
            if one.accuracy is None
            else replace(
                one.accuracy,
                top1=None,
                top5=None,
                top1_interval=None,
                top5_interval=None,
                calibration_error=None,
                reliability=(),
                classes=(),
                confusion=(),
                confused=(),
                pairing=one.accuracy.pairing and Pairing(99.61, None, None, None, None, None),
                changed=tuple(replace(each, label=None, file=None) for each in one.accuracy.changed),
            ),
        )
        for one in whole.engines
    )
    absent = engine("lenet-trt", "int8", "tensorrt", None, None)
    return replace(whole, engines=(engines[0], engines[2], absent), against=None)


def nothing() -> Report:
    """No engine runs, and the system tells nothing."""
    machine = Machine("", "", "3.11.2", "", 1, None, "", (), {})
    conditions = Conditions("", "", None, None, None, None, None, None, ())
    made = report((engine("trt", "fp16", "tensorrt", None, None),), "no engine runs here", None)
    return replace(made, machine=machine, conditions=conditions)


ALL = (alone, four, many, thousand, hundred, hostile, unlabelled, nothing)
