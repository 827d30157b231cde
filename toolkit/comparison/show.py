"""A comparison for people: the table of layers, and what it means."""

from __future__ import annotations

from runtime.text import by
from toolkit.comparison.result import EQUAL_DB, ComparedLayer, Comparison, SideEntry
from toolkit.console import points, print_table, say

LOW_DB = 15.0
FAR_DB = 40.0  # a layer with more is not worth a word
SHOWN = 5  # images and unmatched layers that are named


def show(result: Comparison, most: int) -> None:
    """Print a table of the layers that stray most, and what was found."""
    ordered = sorted(result.layers, key=lambda layer: layer.sqnr_db)[:most]
    if ordered:
        marked = [layer.name for layer in ordered]
        bold = marked.index(result.adds_most_error) if result.adds_most_error in marked else None
        some = "" if len(ordered) == len(result.layers) else f", the {len(ordered)} worst of {len(result.layers)}"
        title = f"A = {describe(result.a)}, B = {describe(result.b)}, {result.images:,} images{some}"
        columns = ["layer", "operation", ">output", ">SQNR dB", ">cosine", ">largest error", ">input dB", ">own dB"]
        print_table(title, columns, [cells(layer) for layer in ordered], bold=bold)
    for line in explain(result):
        say(line)


def describe(side: SideEntry) -> str:
    """`model.onnx (fp32)`."""
    return f"{side.name} ({side.precision})"


def cells(layer: ComparedLayer) -> list[str]:
    """A row."""
    error = "-" if layer.largest_error is None else f"{layer.largest_error:.3g}"
    share = "" if layer.relative_error is None else f" ({percent(100 * layer.relative_error)} %)"
    return [
        named(layer),
        layer.operation,
        by(layer.shape),
        decibels(layer.sqnr_db),
        "-" if layer.cosine is None else f"{layer.cosine:.6f}",
        error + share,
        decibels(layer.input_sqnr_db),
        decibels(layer.own_sqnr_db),
    ]


def percent(value: float) -> str:
    """With two significant digits, of 10 and more without decimals."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def named(layer: ComparedLayer) -> str:
    """By its name in A, and that in B where it is another one."""
    return layer.name if layer.name == layer.name_b else f"{layer.name} = {layer.name_b}"


def decibels(value: float | None) -> str:
    """An SQNR; `equal` for the most that there is."""
    return "equal" if value == EQUAL_DB else points(value, 1)


def explain(result: Comparison) -> list[str]:
    """What the table means, in lines."""
    lines = [] if result.equal else [*columns_of(result), *where(result)]
    if result.equal:
        lines.append("they are equal: no tensor that was compared differs in one bit, and neither does an answer")
    lines += [f"warning: {text}" for text in result.warnings]
    lines += unmatched(result)
    lines.append(answers(result))
    if result.largest_probability_difference:
        image = result.largest_difference_file or f"image {result.largest_difference_image:,} of {result.data}"
        lines.append(f"probabilities differ by {result.largest_probability_difference:.3g} at most, on {image}")
    for entry in result.disagreements[:SHOWN]:
        label = "" if entry.label is None else f", labelled {entry.label}"
        lines.append(f"  {entry.file or f'image {entry.image:,}'}: {entry.a} in A, {entry.b} in B{label}")
    engines = ", ".join(
        f"{side.answered_with} within {side.engine_difference:.1g} for {name}"
        for name, side in (("A", result.a), ("B", result.b))
    )
    lines.append(f"layers were run by ONNX Runtime, and the answers are near its probabilities: {engines}")
    if result.picture:
        lines.append(f"wrote {result.picture}")
    return lines


def columns_of(result: Comparison) -> list[str]:
    """How to read the last two columns."""
    if not result.layers:
        return ["no layer could be compared"]
    return ["input: what the layer reads, in A and in B; own: its output when B's layer is given what A's reads"]


def where(result: Comparison) -> list[str]:
    """The layer at which it breaks, or that adds most; or that it is none."""
    layers = [layer for layer in result.layers if layer.own_sqnr_db is not None]
    name = result.adds_most_error
    low = next((layer for layer in layers if (layer.input_sqnr_db or EQUAL_DB) < LOW_DB), None)
    worst = next((layer for layer in layers if layer.name == name), None)
    own = EQUAL_DB if worst is None or worst.own_sqnr_db is None else worst.own_sqnr_db
    if worst is not None and own < LOW_DB:
        return [f"it breaks at {name}: given exactly what A's layer reads, its output has an SQNR of {own:.1f} dB"]
    if low is not None:
        first = next((layer for layer in result.layers if layer.sqnr_db < LOW_DB), low)
        if first.own_sqnr_db is None:  # no layer, but something between them
            return [f"it breaks at {named(first)} ({first.operation}), between layers: {first.sqnr_db:.1f} dB"]
        return [
            f"no layer breaks by itself, but what {low.name} reads has an SQNR of {points(low.input_sqnr_db, 1)} dB: "
            "--all-tensors shows what stands before it"
        ]
    if worst is None:
        return []
    if own < FAR_DB:
        return [f"{name} adds the most error: {own:.1f} dB by itself"]
    return [f"no layer strays far by itself: {name} most, with {own:.1f} dB"]


def unmatched(result: Comparison) -> list[str]:
    """The layers that were not compared; the JSON has all of them."""
    lines = [
        f"not compared: {entry.name} of {entry.side.upper()}: {entry.reason}" for entry in result.unmatched[:SHOWN]
    ]
    more = len(result.unmatched) - SHOWN
    return lines + ([f"not compared: {more} more, which --json names"] if more > 0 else [])


def answers(result: Comparison) -> str:
    """Agreement and accuracy."""
    text = f"top-1: they agree on {result.agreement:.2f} % of {result.images:,} images of {result.data}"
    if result.top1_a is not None:
        text += f"; accuracy {points(result.top1_a)} % of A, {points(result.top1_b)} % of B"
    return text
