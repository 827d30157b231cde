"""What people see of a build: its race, the layers of the winner, what it means, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from runtime.manifest import LayerEntry
from runtime.race import SAME_GRAPH, RaceRow
from toolkit.build_result import BudgetOutcome, BuildResult
from toolkit.console import milliseconds, points, print_table, say, size

SHORT_STAGE_S = 0.05  # shorter stages are left to the JSON
MOST_LAYERS = 20  # of the table; `inspect` and the JSON have all
SMALL_DIFFERENCE = 1.02  # two targets nearer than this are said to be equally fast


def show(result: BuildResult) -> None:
    """The race, the layers of the winner, what it means, and what to do next."""
    columns = ["graph", "target", ">size", ">top-1", ">drop", ">agree", ">SQNR", ">p50", ">p99", "runs"]
    rows = [
        [
            row.precision,
            row.target,
            size(row.size_bytes),
            points(row.top1),
            points(row.drop_points),
            points(row.agreement),
            points(row.logits_sqnr_db, 1),
            milliseconds(row.p50_ms),
            milliseconds(row.p99_ms),
            ", ".join(f"{count} {kind}" for kind, count in row.executed.items()) or "-",
        ]
        for row in result.race
    ]
    chosen = next(index for index, row in enumerate(result.race) if row.chosen)
    title = f"{result.model}, batch {result.latency_batch}: top-1, drop and agreement in %, SQNR in dB, latency in ms"
    print_table(title, columns, rows, bold=chosen)
    if any(layer.sqnr_db is not None for layer in result.layers):
        show_layers(result.layers)
    for line in explain(result):
        say(line)
    say()
    long = {name: seconds for name, seconds in result.stage_seconds.items() if seconds >= SHORT_STAGE_S}
    say("time: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in long.items()))
    say(f"wrote {result.bundle} ({size(result.size_bytes)} model) in {result.seconds:.1f} s")
    say(f"next:  {next_step(result)}")


def next_step(result: BuildResult) -> str:
    """The commands to go on with; a plan for a GPU that is not here is of use elsewhere alone."""
    folder = shlex.quote(result.bundle)
    if result.latency_reason:
        return f"copy {folder} to where {result.target} runs, and there: toolkit verify {folder}"
    return f"toolkit classify {folder} IMAGE...    toolkit verify {folder}"


def show_layers(layers: tuple[LayerEntry, ...]) -> None:
    """What each layer was asked to be, what it is executed in, and how far its output strays from FP32."""
    shown = sorted(layers, key=lambda layer: layer.sqnr_db if layer.sqnr_db is not None else 0.0)[:MOST_LAYERS]
    rows = [
        [layer.name, f"{layer.macs:,}", layer.asked, layer.reached, points(layer.sqnr_db, 1), layer.reason]
        for layer in layers
        if layer in shown
    ]
    title = "layers" if len(layers) == len(rows) else f"the {len(rows)} layers that stray most, of {len(layers)}"
    print_table(title, ["layer", ">multiply-adds", "asked", "executed", ">SQNR dB", "why not"], rows)


def explain(result: BuildResult) -> list[str]:
    """Why this graph on this target, what it costs, and what was left in float."""
    chosen = next(row for row in result.race if row.chosen)
    rivals = [row for row in result.race if row is not chosen and row.p50_ms is not None]
    lines = [why_chosen(result, chosen, rivals)]
    lines += [
        f"{row.precision} on {row.target} {'failed' if row.p50_ms is None else 'cannot win'}: {row.reason_against}"
        for row in result.race
        if row.reason_against and not row.chosen
    ]
    lines += [*latency_lines(result, chosen, rivals), *accuracy_lines(result)]
    if "int8" in chosen.precision:
        lines.append(f"INT8 layers do {100 * result.coverage.macs_share:.1f} % of the multiply-accumulates")
    if result.reduced_range:
        lines.append("INT8 weights use 7 of their 8 bits, so that no CPU without VNNI overflows")
    if result.budget:
        lines += budget_lines(result.budget)
    return lines + [f"warning: {text}" for text in result.warnings]


def why_chosen(result: BuildResult, chosen: RaceRow, rivals: Sequence[RaceRow]) -> str:
    """What it was chosen before: rivals are the others that were timed."""
    name = f"{chosen.precision} on {chosen.target}"
    raced = chosen.precision == "fp32" or len({row.precision for row in result.race}) > 2  # no precision was asked for
    able = [row for row in rivals if not row.reason_against and (raced or row.precision == chosen.precision)]
    if able:
        slower = ", ".join(f"{times(row, chosen)} as fast as {row.precision} on {row.target}" for row in able)
        return f"chosen: {name}, {slower}"
    if all(row.precision != chosen.precision for row in rivals):
        return f"chosen: {name}, the only target that was built for"
    if not chosen.reason_against:
        return f"chosen: {name}, the only one of {chosen.precision} that can win"
    return f"chosen: {name}: no target does all that was asked"


def latency_lines(result: BuildResult, chosen: RaceRow, rivals: Sequence[RaceRow]) -> Iterator[str]:
    """What it gains over FP32, or why that is not known."""
    references = [row for row in rivals if row.precision == "fp32"]
    if chosen.p50_ms is None:
        yield f"latency: not measured: {chosen.target} does not run here: {result.latency_reason}"
    elif chosen.precision != "fp32" and references:
        fastest = min(references, key=lambda row: row.p50_ms or 0)
        ratio = chosen.p50_ms / (fastest.p50_ms or 1)
        if ratio > SMALL_DIFFERENCE:
            yield (
                f"FP32 on {fastest.target} is {ratio:.2f}x as fast here ({milliseconds(fastest.p50_ms)} ms): "
                f"{chosen.precision} does not pay for this model on this machine"
            )
        elif ratio < 1 / SMALL_DIFFERENCE:
            yield f"{chosen.precision} is {1 / ratio:.2f}x as fast as FP32 on {fastest.target}"
        else:
            yield f"{chosen.precision} is as fast as FP32 on {fastest.target}"


def accuracy_lines(result: BuildResult) -> Iterator[str]:
    """What was measured, on what, by what; of a rebuilt bundle that is its source."""
    accuracy = result.accuracy
    if accuracy is None:
        yield f"accuracy: not measured: {result.accuracy_reason}"
        return
    measured = [
        f"{name} {points(value)} %"
        for name, value in (("top-1", accuracy.top1), ("agreement with FP32", accuracy.agreement))
        if value is not None
    ]
    yield f"accuracy: {', '.join(measured)} on {accuracy.images:,} images, measured with {accuracy.measured_with}"
    if accuracy.measured_with not in (result.target, SAME_GRAPH):
        yield f"that is the accuracy of the bundle it was built from; --eval-data measures {result.target}"


def budget_lines(outcome: BudgetOutcome) -> list[str]:
    """What was allowed, what was done for it, and what that costs."""
    budget = outcome.budget
    unit = "points" if budget.judged_by == "top1" else "% of the classes"
    judged = f"on {budget.images:,} held-out images"
    if not budget.given_back:
        return [f"budget: INT8 loses {budget.lost:.2f} {unit} {judged}, of {budget.max_drop:g} that it may"]
    names = ", ".join(entry.layer for entry in budget.given_back)
    lines = [
        f"budget: INT8 loses {budget.lost_at_first:.2f} {unit} {judged}, over {budget.max_drop:g}; with {names} in "
        f"float it loses {budget.lost:.2f}" + ("" if budget.met else ", the least that was found: the budget is missed")
    ]
    if outcome.p50_ms and outcome.all_int8_p50_ms:
        lines.append(
            f"that costs a latency of {milliseconds(outcome.p50_ms)} ms in place of "
            f"{milliseconds(outcome.all_int8_p50_ms)} ms"
        )
    return lines


def times(slower: RaceRow, faster: RaceRow) -> str:
    """How many times as fast one row is."""
    return f"{(slower.p50_ms or 0) / (faster.p50_ms or 1):.2f}x"
