"""This report beside an earlier one: what got better or worse beyond noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from runtime.errors import DataError
from runtime.folder import read_at_most
from runtime.measure.result import Interval
from toolkit.report.figures import report_figures
from toolkit.report.result import REPORT_VERSION, Against, Change, EngineReport, Report

MOST_BYTES = 256 << 20
HIGHER_IS_BETTER = {"top1", "agreement", "images_per_second"}
EXACT = {"size_mib"}
CLOCKED = {"p50_ms", "p99_ms"}
LOGARITHMIC = {*CLOCKED, "time_ratio"}  # compared as a quotient; percentages as a difference
LEAST, MOST = 1e-9, 1e12  # beyond, nothing is a time or a ratio

Verdict: TypeAlias = Literal["better", "worse", "same", "unknown"]


class VersionOnly(msgspec.Struct):
    """The one field that every version of a report has."""

    report_version: int


def read_report(path: Path) -> Report:
    """An earlier report.json.

    Raises:
        DataError: it cannot be read, is none, or is of another version.
    """
    hint = "give the report.json that `toolkit report` wrote"
    try:
        data = read_at_most(path, MOST_BYTES)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint) from error
    try:
        version = msgspec.json.decode(data, type=VersionOnly).report_version
        if version != REPORT_VERSION:
            raise DataError(
                f"{path} has version {version} of reports, this toolkit has {REPORT_VERSION}",
                "measure the earlier bundles again with this toolkit",
            )
        report = msgspec.json.decode(data, type=Report)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a report: {error}", hint) from error
    for engine in report.engines:
        for name, interval in known_intervals(engine).items():
            if interval and name in LOGARITHMIC and not LEAST < interval.low <= interval.high < MOST:
                raise DataError(
                    f"{path} is not a report: {name} of {engine.name} cannot be {interval.low:g} to {interval.high:g}",
                    hint,
                )
    return report


def compare_reports(file: Path, before: Report, now: Report) -> Against:
    """Put both side by side, engine by engine and figure by figure.

    Engines are the same where their names are, as bundles are built again under their old names.
    """
    old = {engine.name: engine for engine in before.engines}
    new = {engine.name: engine for engine in now.engines}
    comparable, warning = drift(old, new)
    changes = [
        change
        for name, engine in new.items()
        if name in old
        for change in compare_engines(old[name], engine, before, now)
    ]
    if not comparable:
        changes = [replace(change, verdict="unknown") if change.figure in CLOCKED else change for change in changes]
    return Against(
        file=str(file),
        created=before.created,
        warnings=(*differences(before, now), *warning),
        changes=tuple(changes),
        missing=tuple(sorted(set(old) ^ set(new))),
    )


def drift(old: Mapping[str, EngineReport], new: Mapping[str, EngineReport]) -> tuple[bool, list[str]]:
    """Whether the machine is as fast as it was, by an engine that has not changed; a warning where it is not known."""
    for name, engine in new.items():
        if name not in old or not same_engine(old[name], engine):
            continue
        pair = [known_intervals(each).get("p50_ms") for each in (old[name], engine)]
        if pair[0] and pair[1]:
            found = spread("p50_ms", pair[0], pair[1])
            if found.low <= 1 <= found.high:
                return True, []
            middle = math.sqrt(found.low * found.high)
            text = f"{name} has not changed, and takes {middle:.3g} times as long as then: it is the machine"
            return False, [f"{text}; look at time_ratio"]
    return True, ["no engine is the same in both: where the machine became slower or faster, all engines seem to"]


def same_engine(old: EngineReport, new: EngineReport) -> bool:
    """Whether it is the same bundle, run in the same way."""
    parts = ((e.digest, e.backend, e.backend_version, e.device, e.threads) for e in (old, new))
    return next(parts) == next(parts)


def differences(before: Report, now: Report) -> Iterator[str]:
    """What makes them hard to compare."""
    if before.machine.cpu != now.machine.cpu or before.machine.board != now.machine.board:
        yield f"another machine: {before.machine.cpu} then, {now.machine.cpu} now; times say nothing of the engines"
    elif before.machine.name != now.machine.name:
        yield f"another host of the same kind: {before.machine.name} then, {now.machine.name} now"
    if before.machine.cores != now.machine.cores:
        yield f"{before.machine.cores} cores then, {now.machine.cores} now"
    for package in sorted(set(before.machine.packages) & set(now.machine.packages)):
        old, new = before.machine.packages[package], now.machine.packages[package]
        if old != new:
            yield f"{package} {old} then, {new} now"
    if (before.data, before.images) != (now.data, now.images):
        then, today = (f"{report.images:,} of {report.data or 'none'}" for report in (before, now))
        yield f"other images: {then} then, {today} now"
    if before.conditions.governor != now.conditions.governor:
        then, today = (report.conditions.governor or "unknown" for report in (before, now))
        yield f"clock governor {then} then, {today} now"
    for when, report in (("then", before), ("now", now)):
        if report.conditions.warnings:
            yield f"the machine was not quiet {when}: {'; '.join(report.conditions.warnings)}"


def compare_engines(old: EngineReport, new: EngineReport, before: Report, now: Report) -> Iterator[Change]:
    """Each figure that both have."""
    earlier, later = report_figures(old), report_figures(new)
    intervals = known_intervals(old), known_intervals(new)
    same_images = (before.data, before.images) == (now.data, now.images)
    for name in later:
        was, is_ = earlier.get(name), later[name]
        if not isinstance(was, float | int) or not isinstance(is_, float | int):
            continue
        if name in ("top1", "drop_points", "agreement") and not same_images:
            continue
        first, second = (known.get(name) for known in intervals)
        interval = spread(name, first, second) if first and second else None
        yield Change(new.name, name, float(was), float(is_), interval, judge(name, float(was), float(is_), interval))


def known_intervals(engine: EngineReport) -> dict[str, Interval | None]:
    """The intervals that its figures have."""
    found: dict[str, Interval | None] = {}
    if engine.performance:
        single = engine.performance.single
        found |= {"p50_ms": single.times.p50_interval, "p99_ms": single.times.p99_interval}
        found["time_ratio"] = single.ratio.interval if single.ratio else None
    if engine.accuracy:
        found["top1"] = engine.accuracy.top1_interval
        found["drop_points"] = engine.accuracy.pairing.drop_interval if engine.accuracy.pairing else None
    return found


def spread(name: str, before: Interval, now: Interval) -> Interval:
    """The interval of a quotient or a difference of two figures that were measured apart.

    Source: Zou and Donner, Construction of confidence limits about effect measures (2008): the squares of what each
    figure's own limits lie away from it add up; of quotients, in logarithms. The middle of an interval stands for it.
    """
    if name in LOGARITHMIC:
        low, high = spread_difference(*(Interval(math.log(i.low), math.log(i.high)) for i in (before, now)))
        return Interval(math.exp(low), math.exp(high))
    return Interval(*spread_difference(before, now))


def spread_difference(before: Interval, now: Interval) -> tuple[float, float]:
    """Ends of now less before."""
    half = math.hypot((before.high - before.low) / 2, (now.high - now.low) / 2)
    middle = (now.low + now.high - before.low - before.high) / 2
    return middle - half, middle + half


def judge(name: str, before: float, now: float, interval: Interval | None) -> Verdict:
    """Better, worse, or neither beyond noise."""
    if before == now:
        return "same"
    if interval is None and name not in EXACT:
        return "unknown"
    unchanged = 1.0 if name in LOGARITHMIC else 0.0
    if interval is not None and interval.low <= unchanged <= interval.high:
        return "same"
    return "better" if (now > before) == (name in HIGHER_IS_BETTER) else "worse"
