"""What reports are made of, for engines that nobody built."""

from __future__ import annotations

import numpy as np

from runtime.manifest import LayerEntry
from runtime.measure.result import (
    BatchPoint,
    Changed,
    ClassAccuracy,
    ColdStart,
    Conditions,
    Energy,
    Histogram,
    Interval,
    Machine,
    MeasuredAccuracy,
    Paced,
    Pairing,
    Performance,
    Preparation,
    Ratio,
    ReliabilityBin,
    Round,
    SingleStream,
    Times,
)
from runtime.spec import Precision
from toolkit.gates import GateResult
from toolkit.report.result import EngineReport, Recommendation, Report

DIGITS = tuple(str(digit) for digit in range(10))
HOSTILE = "<script>alert(1)</script>|`x`</title>\"'&$a$ \u202e\x1b[31m\x00"
MACHINE = Machine(
    name="bench-1",
    system="Linux 6.1.0-18-amd64 (Debian 12)",
    python="3.11.2",
    cpu="Intel(R) Core(TM) i7-1185G7 @ 3.00GHz",
    cores=4,
    memory_bytes=16_542_000_000,
    board="",
    gpus=(),
    packages={"numpy": "2.4.6", "onnxruntime": "1.32.0", "opencv-python": "5.0.0.93", "openvino": "2026.4.1"},
)
CALM = Conditions("performance", "", Interval(2980.0, 3010.0), 61.0, False, 0.2, 1.3, 0.0, ())
BUSY = Conditions(
    governor="powersave",
    power_mode="",
    clock_mhz=Interval(1200.0, 2950.0),
    temperature_c=97.0,
    throttled=True,
    load_before=3.7,
    others_percent=42.0,
    stolen_percent=None,
    warnings=(
        "the CPU slowed itself down, for heat: let it cool, and measure again",
        "others used 42 % of the machine's CPU time: stop them, and measure again",
    ),
)


def times(p50: float, samples: int = 12_000) -> Times:
    few = samples < 10_000
    return Times(
        p50=p50,
        p90=1.06 * p50,
        p95=1.11 * p50,
        p99=1.4 * p50,
        p999=None if few else 2.2 * p50,
        max=5.5 * p50,
        mean=1.04 * p50,
        p50_interval=Interval(0.985 * p50, 1.02 * p50),
        p99_interval=None if few else Interval(1.3 * p50, 1.6 * p50),
        jitter=0.05 * p50,
        variation_percent=9.3,
        samples=samples,
        seconds=samples * p50 / 1000,
    )


def single(p50: float, ratio: Ratio | None, seed: int) -> SingleStream:
    random = np.random.default_rng(seed)
    drawn = np.minimum(p50 * np.exp(np.abs(random.standard_t(4, 12_000)) * 0.05), 5.5 * p50)
    edges = np.geomspace(drawn.min(), drawn.max(), 61)
    counts = np.histogram(drawn, edges)[0]
    centre = p50 * (1 + 0.02 * random.standard_normal(20))
    return SingleStream(
        batch=1,
        times=times(p50),
        ratio=ratio,
        cpu_ms=1.9 * p50,
        warm_up_calls=340,
        steady=True,
        histogram=Histogram(tuple(map(float, edges)), tuple(map(int, counts))),
        rounds=tuple(
            Round(0.9 * index, float(middle), float(middle * (1.6 + random.pareto(2))))
            for index, middle in enumerate(centre)
        ),
    )


def performance(p50: float, first: float | None, seed: int, *, everything: bool = True) -> Performance:
    """Timed beside the engine named first, whose median is `first`."""
    ratio = None
    if first is not None:
        value = p50 / first
        ratio = Ratio(value, Interval(0.98 * value, 1.02 * value), 0.98 * value <= 1 <= 1.02 * value)
    if not everything:
        return Performance(single(p50, ratio, seed), energy_reason="it was not asked for (--energy)")
    return Performance(
        single=single(p50, ratio, seed),
        batches=tuple(
            BatchPoint(size, p50 * (0.35 + 0.65 * size**0.93), 1000 * size / (p50 * (0.35 + 0.65 * size**0.93)))
            for size in (1, 2, 4, 8, 16, 32)
        ),
        paced=(Paced(30.0, times(1.7 * p50, 900), 2), Paced(60.0, times(1.5 * p50, 1800), 0)),
        cold=ColdStart(412.0 + p50, 63.2, 4 * p50, 91_000_000, 5),
        preparation=Preparation(0.021, 0.113, p50 + 0.15, 200),
        energy=Energy(9.3 * p50, 14.2, 3.1, "RAPL, package 0"),
    )


def accuracy(
    top1: float, labels: tuple[str, ...], images: int, pairing: Pairing | None, seed: int, changed: int = 0
) -> MeasuredAccuracy:
    random = np.random.default_rng(seed)
    count = len(labels)
    each = images // count
    recall = np.clip(top1 + 3 * random.standard_normal(count), 40, 100)
    confusion = np.zeros((count, count), int)
    for index in range(count):
        wrong = round(each * (1 - recall[index] / 100))
        confusion[index, index] = each - wrong
        for other in random.integers(0, count - 1, wrong):
            confusion[index, other + (other >= index)] += 1
    pairs = sorted(
        ((int(confusion[i, j]), i, j) for i in range(count) for j in range(count) if i != j and confusion[i, j]),
        reverse=True,
    )
    return MeasuredAccuracy(
        images=images,
        top1=top1,
        top5=min(top1 + 1, 99.99) if count > 5 else None,
        top1_interval=Interval(top1 - 0.23, top1 + 0.19),
        top5_interval=Interval(top1 + 0.8, min(top1 + 1.1, 100)) if count > 5 else None,
        calibration_error=0.0123,
        reliability=tuple(
            ReliabilityBin(round(images * share), (bin + 0.5) / 15, max((bin + 0.2) / 15, 0.0)) if share else EMPTY
            for bin, share in enumerate(SHARES)
        ),
        classes=tuple(
            ClassAccuracy(index, label, each, float(recall[index]), float(min(recall[index] + 0.4, 100)))
            for index, label in enumerate(labels)
        ),
        confusion=tuple(tuple(map(int, row)) for row in confusion) if count <= 100 else (),
        confused=tuple((right, answer, number) for number, right, answer in pairs[:20]),
        refused=None,
        broken=0,
        pairing=pairing,
        changed=tuple(
            Changed(17 * index + 3, f"test/{labels[index % count]}/{index:04}.png", index % count, index % count,
                    (index + 3) % count, 0.61, 0.55)
            for index in range(changed)
        ),
    )  # fmt: skip


SHARES = (0, 0, 0, 0.01, 0.01, 0.01, 0.02, 0.02, 0.03, 0.03, 0.04, 0.05, 0.06, 0.1, 0.62)
EMPTY = ReliabilityBin(0, 0.0, 0.0)
PAIRING = Pairing(99.61, 0.04, Interval(-0.06, 0.14), 18, 14, 0.597)


def layers(count: int, seed: int) -> tuple[LayerEntry, ...]:
    """Some quantized, one left in float, one that the engine did not follow."""
    random = np.random.default_rng(seed)
    return tuple(
        LayerEntry(
            name=f"layer{index // 4 + 1}.{index % 4}.conv" if count > 8 else f"features.{index}",
            macs=int(random.integers(10_000, 90_000_000)),
            asked="fp32" if index == 1 else "int8",
            reached="fp32" if index in (1, 2) else "int8",
            reason="it loses too much" if index == 1 else "the engine fused it" if index == 2 else "",
            sqnr_db=float(41 - 0.35 * index + 2 * random.standard_normal()),
        )
        for index in range(count)
    )


def engine(
    name: str,
    precision: Precision,
    backend: str,
    performance: Performance | None,
    accuracy: MeasuredAccuracy | None,
    *,
    count: int = 5,
    gates: tuple[GateResult, ...] = (),
) -> EngineReport:
    quantized = precision.startswith("int8")
    return EngineReport(
        name=name,
        bundle=f"build/{name}",
        digest="c0ffee" * 10 + "c0ff",
        model="lenet",
        precision=precision,
        backend=backend,
        backend_version="1.32.0",
        device="",
        threads=2,
        size_bytes=61_700 if quantized else 246_900,
        toolkit_version="0.1.0",
        layers=layers(count, 7) if quantized else (),
        logits_sqnr_db=38.4 if quantized else None,
        performance=performance,
        performance_reason="" if performance else "TensorRT is not installed here",
        accuracy=accuracy,
        accuracy_reason="" if accuracy else "no images were given (--data)",
        accuracy_with=backend if accuracy else "",
        gates=gates,
    )


def report(engines: tuple[EngineReport, ...], text: str, chosen: str | None, front: tuple[str, ...] = ()) -> Report:
    labelled = any(engine.accuracy for engine in engines)
    return Report(
        report_version=1,
        toolkit_version="0.1.0",
        created="2026-11-29T08:00:00Z",
        command="toolkit report build/lenet-int8 build/lenet-fp32 --data test -o report",
        seconds=83.2,
        machine=MACHINE,
        conditions=CALM,
        data="MNIST test (t10k)" if labelled else "",
        images=10_000 if labelled else 0,
        reference=engines[0].name if labelled else None,
        engines=engines,
        recommendation=Recommendation(chosen, text, front),
        against=None,
        warnings=(),
        files={"html": "report/index.html", "json": "report/report.json"},
    )
