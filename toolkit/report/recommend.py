"""Which engine to take, in words: the fastest within the budget, and whether others are slower beyond noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runtime.measure.result import Interval, Ratio, SingleStream
from runtime.measure.statistics import ratio
from toolkit.report.result import EngineReport, Recommendation

SIGNIFICANT = 0.05  # of McNemar's test


def recommend(engines: Sequence[EngineReport]) -> Recommendation:
    """Say which.

    Args:
        engines: with what came of their gates, which are the budget. Those that were not timed are passed over.
    """
    front = pareto_front(engines)
    timed = [engine for engine in engines if engine.performance]
    within = [engine for engine in timed if all(gate.passed for gate in engine.gates)]
    if not within:
        return Recommendation(None, refuse(engines), front)
    ratios = {engine.name: between(engine, fastest(within)) for engine in within}
    tied = [engine for engine in within if ratios[engine.name].within_noise or engine is fastest(within)]
    chosen = pick(tied)
    sentences = [lead(chosen, tied, within, timed), *beside_slower(chosen, tied, within), cost(chosen)]
    return Recommendation(chosen.name, " ".join(filter(None, sentences)), front)


def fastest(engines: Sequence[EngineReport]) -> EngineReport:
    """By the median of single requests."""
    return min(engines, key=lambda engine: stream_of(engine).times.p50)


def pick(tied: Sequence[EngineReport]) -> EngineReport:
    """Of engines that are equally fast the most accurate; where that does not tell, the smallest."""
    return min(tied, key=lambda engine: (-accuracy_of(engine), engine.size_bytes))


def lead(
    chosen: EngineReport,
    tied: Sequence[EngineReport],
    within: Sequence[EngineReport],
    timed: Sequence[EngineReport],
) -> str:
    """The sentence that most people read alone."""
    p50 = f"{stream_of(chosen).times.p50:.3g} ms a call (median)"
    budget = " within the budget" if chosen.gates else ""
    if len(timed) == 1:
        return f"{chosen.name} takes {p50}; it is the only engine that was timed{', and it is' * bool(budget)}{budget}."
    if len(tied) > 1:
        others = listed([engine.name for engine in tied if engine is not chosen])
        alike = f"{others} {'is' if len(tied) == 2 else 'are'} as fast within noise"
        return f"Take {chosen.name}: {p50}{budget}. {alike}; {tie_reason(chosen, tied)}."
    if len(within) == 1:
        free = "" if chosen.gates else ", which it need not keep"
        return f"Take {chosen.name}: {p50}. No other is within the budget{free}."
    return f"Take {chosen.name}: at {p50} it is the fastest{budget}."


def tie_reason(chosen: EngineReport, tied: Sequence[EngineReport]) -> str:
    """Why it was taken of those that are equally fast."""
    known = [accuracy_of(engine) for engine in tied]
    if min(known) >= 0 and accuracy_of(chosen) > min(known):
        return f"{chosen.name} is right most often"
    return f"{chosen.name} is the smallest" if len({engine.size_bytes for engine in tied}) > 1 else "they are alike"


def beside_slower(chosen: EngineReport, tied: Sequence[EngineReport], within: Sequence[EngineReport]) -> list[str]:
    """How much faster it is than the next, and than the slowest."""
    slower = sorted((e for e in within if e not in tied), key=lambda engine: stream_of(engine).times.p50)
    sentences = []
    for engine in dict.fromkeys((*slower[:1], *slower[-1:])):
        found = between(engine, chosen)
        sentences.append(f"{engine.name} takes {found.value:.3g} times as long{range_of(found)}.")
    return sentences


def cost(chosen: EngineReport) -> str:
    """What it loses of the reference's accuracy."""
    pairing = chosen.accuracy.pairing if chosen.accuracy else None
    if pairing is None or pairing.drop_points is None or pairing.p_value is None:
        return (
            ""
            if pairing is None
            else f"{chosen.name} agrees with the reference on {pairing.agreement:.2f} % of the images."
        )
    if pairing.p_value >= SIGNIFICANT:
        return (
            f"The accuracy of {chosen.name} does not differ from the reference's beyond chance: it loses "
            f"{pairing.lost:,} images and gains {pairing.gained:,} (p = {pairing.p_value:.2g})."
        )
    verb, points = ("loses", pairing.drop_points) if pairing.drop_points > 0 else ("gains", -pairing.drop_points)
    p = f"p = {pairing.p_value:.2g}"
    return (
        f"{chosen.name} {verb} {points:.2f} points of accuracy against the reference, more than chance explains ({p})."
    )


def refuse(engines: Sequence[EngineReport]) -> str:
    """Why none can be recommended."""
    reasons = []
    for engine in engines:
        missed = [str(gate) for gate in engine.gates if not gate.passed]
        reasons.append(f"{engine.name}: {', '.join(missed) or engine.performance_reason}")
    some = "No engine is within the budget" if any(engine.gates for engine in engines) else "No engine was timed"
    return f"{some}. {'; '.join(reasons)}."


def between(engine: EngineReport, other: EngineReport) -> Ratio:
    """The median time of one over that of another, as the tables have it where one of both is the engine named first.

    Otherwise its interval is from the medians of the rounds, in which they took turns.
    """
    to_first, other_to_first = stream_of(engine).ratio, stream_of(other).ratio
    if to_first and other_to_first is None:
        return to_first
    if other_to_first and to_first is None:
        return invert(other_to_first)
    value = stream_of(engine).times.p50 / stream_of(other).times.p50
    one, two = ([np.array([round(turn.p50 * 1e6)]) for turn in stream_of(e).rounds] for e in (engine, other))
    count = min(len(one), len(two))
    found = ratio(one[:count], two[:count])
    if found.interval is None or engine is other:
        return Ratio(value, None, within_noise=engine is other)
    interval = Interval(min(found.interval.low, value), max(found.interval.high, value))
    return Ratio(value, interval, within_noise=interval.low <= 1 <= interval.high)


def invert(found: Ratio) -> Ratio:
    """The other engine's time over that of the one."""
    interval = found.interval and Interval(1 / found.interval.high, 1 / found.interval.low)
    return Ratio(1 / found.value, interval, found.within_noise)


def range_of(found: Ratio) -> str:
    """The interval, in brackets."""
    return f" ({found.interval.low:.3g} to {found.interval.high:.3g})" if found.interval else ""


def pareto_front(engines: Sequence[EngineReport]) -> tuple[str, ...]:
    """Names of those that no other beats in both time and accuracy (agreement, where the images have no labels)."""
    known = [engine for engine in engines if engine.performance]
    points = [(stream_of(engine).times.p50, -accuracy_of(engine)) for engine in known]
    return tuple(
        engine.name
        for engine, (time, loss) in zip(known, points, strict=True)
        if not any(t <= time and a <= loss and (t, a) != (time, loss) for t, a in points)
    )


def accuracy_of(engine: EngineReport) -> float:
    """Top-1, or else the agreement with the reference, in percent; -1 where neither is known."""
    accuracy = engine.accuracy
    if accuracy is None:
        return -1.0
    if accuracy.top1 is not None:
        return accuracy.top1
    return accuracy.pairing.agreement if accuracy.pairing else 100.0  # the reference agrees with itself


def stream_of(engine: EngineReport) -> SingleStream:
    """Its single requests; it was timed."""
    assert engine.performance is not None
    return engine.performance.single


def listed(names: Sequence[str]) -> str:
    """A, B and C."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
