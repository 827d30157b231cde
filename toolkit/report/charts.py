"""Pictures of a report, as SVG: what engines cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from runtime.measure.result import Performance
from toolkit.report.palette import INK, engine_colour
from toolkit.report.result import EngineReport, Report
from toolkit.report.svg import SMALL, drawing, limits, new_figure, settle, to_svg
from toolkit.report.words import ms, rate, short

WIDE_RANGE = 6.0  # from here on an axis is logarithmic
ROW = 62.0  # the height of an engine's row
NAME = 30  # characters of an engine's name in a picture
MARKERS = "osD^vPX*"
STEPS = [1, 2, 2.5, 5, 10]  # between ticks


@dataclass(frozen=True)
class Chart:
    """A picture.

    Attributes:
        name: letters and dashes.
        title: what it is.
        caption: how to read it.
        description: its figures in words.
        svg: an `svg` element.
        keyed: engines are told by number, colour and marker: it needs the list of engines beside it.
    """

    name: str
    title: str
    caption: str
    description: str
    svg: str
    keyed: bool = False


@dataclass(frozen=True)
class Shown:
    """An engine in a picture: the same number, colour and marker in all."""

    number: int
    engine: EngineReport

    @property
    def performance(self) -> Performance:
        assert self.engine.performance is not None, "one that was not timed is in no picture of times"
        return self.engine.performance

    @property
    def colour(self) -> str:
        return engine_colour(self.number - 1).sentinel

    @property
    def marker(self) -> str:
        return MARKERS[(self.number - 1) % len(MARKERS)]

    @property
    def title(self) -> str:
        return f"{self.number}  {short(self.engine.name, NAME)}"


def timed(report: Report) -> list[Shown]:
    """The engines that were timed."""
    return [one for one in every(report) if one.engine.performance is not None]


def every(report: Report) -> list[Shown]:
    """All engines, numbered from 1."""
    return [Shown(index, engine) for index, engine in enumerate(report.engines, 1)]


def draw_latency(report: Report) -> Chart | None:
    """The distribution of times, a row for each engine over one axis."""
    name, title = "latency", "Latency distribution"
    shown = timed(report)
    if not shown:
        return None
    words = []
    with drawing(name):
        figure = new_figure(34 + ROW * len(shown))
        rows = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        for axes, one in zip(rows, shown, strict=True):
            single = one.performance.single
            times, bins = single.times, single.histogram
            highest = max(bins.counts, default=0) or 1
            heights = [count / highest for count in bins.counts]
            axes.stairs(heights, bins.edges, fill=True, color=one.colour, alpha=0.45, linewidth=0)
            axes.stairs(heights, bins.edges, color=one.colour, linewidth=1.2)
            axes.axvline(times.p50, color=INK, linewidth=1.2)
            if times.p99 is not None:
                axes.axvline(times.p99, color=INK, linewidth=1.2, linestyle=(0, (3, 2)))
            axes.set_title(one.title, loc="left")
            tail = "" if times.p99 is None else f", p99 {ms(times.p99)}"
            axes.set_title(f"p50 {ms(times.p50)}{tail} ms", loc="right", fontsize=SMALL)
            said = tail and f"{tail} ms"
            axes.set_yticks([])
            axes.set_ylim(0, 1.08)
            axes.spines["left"].set_visible(False)
            words.append(f"{one.engine.name}: median {ms(times.p50)} ms{said}, longest {ms(times.max)} ms.")
        edges = [edge for one in shown for edge in one.performance.single.histogram.edges]
        scale(rows[-1], "x", min(edges), max(edges))
        rows[-1].set_xlabel("milliseconds a call")
        caption = "How often calls took how long, each engine by its own most frequent time. Line: median; dashed: p99."
        return Chart(name, title, caption, " ".join(words), to_svg(figure, name, title, " ".join(words)))


def draw_rounds(report: Report) -> Chart | None:
    """Median and longest call of each round, in the order in which they were measured."""
    name, title = "rounds", "Latency over the run"
    shown = [one for one in timed(report) if len(one.performance.single.rounds) > 1]
    if not shown:
        return None
    words = []
    with drawing(name):
        figure = new_figure(34 + 1.15 * ROW * len(shown))
        rows = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        for axes, one in zip(rows, shown, strict=True):
            rounds = one.performance.single.rounds
            at, middle, longest = zip(*((each.at_s, each.p50, each.max) for each in rounds), strict=True)
            axes.fill_between(at, middle, longest, color=one.colour, alpha=0.2, linewidth=0)
            axes.plot(at, longest, ".", color=one.colour, markersize=4)
            axes.plot(at, middle, "-", color=one.colour, linewidth=1.8)
            axes.set_title(one.title, loc="left")
            if not scale(axes, "y", min(middle), max(longest), ticks=3):
                limits(axes, min(middle), max(longest), least=0.2 * min(middle))
            words.append(
                f"{one.engine.name}: medians of {len(rounds)} rounds between {ms(min(middle))} and "
                f"{ms(max(middle))} ms, longest call {ms(max(longest))} ms."
            )
        rows[-1].set_xlabel("seconds since the run began")
        figure.supylabel("milliseconds a call", fontsize=SMALL)
        caption = "Line: median of a round; dots: its longest call. Each engine has a scale of its own."
        return Chart(name, title, caption, " ".join(words), to_svg(figure, name, title, " ".join(words)))


def draw_batches(report: Report) -> Chart | None:
    """Throughput and time over batch sizes."""
    name, title = "batches", "Batch sizes"
    shown = [one for one in timed(report) if len(one.performance.batches) > 1]
    if not shown:
        return None
    words = []
    with drawing(name):
        figure = new_figure(380)
        upper, lower = figure.subplots(2, 1, sharex=True)
        for one in shown:
            sweep = one.performance.batches
            sizes = [point.batch for point in sweep]
            line = {"color": one.colour, "marker": one.marker, "markersize": 4.5, "linewidth": 1.5}
            upper.plot(sizes, [point.images_per_second for point in sweep], **line)
            lower.plot(sizes, [point.p50_ms for point in sweep], **line)
            best = max(sweep, key=lambda point: point.images_per_second)
            words.append(
                f"{one.engine.name}: {rate(sweep[0].images_per_second)} images a second at batch {sweep[0].batch}, "
                f"at most {rate(best.images_per_second)}, at batch {best.batch} in {ms(best.p50_ms)} ms a call."
            )
        batches = sorted({point.batch for one in shown for point in one.performance.batches})
        for axes, label in ((upper, "images a second"), (lower, "milliseconds a call")):
            axes.set_ylabel(label)
            lines = [line.get_ydata() for line in axes.lines]
            scale(axes, "y", min(map(min, lines)), max(map(max, lines)))
        lower.set_xscale("log", base=2)
        lower.set_xlim(batches[0] / 1.15, batches[-1] * (batches[-1] / batches[0]) ** 0.09)  # room for the numbers
        lower.set_xticks(batches, [str(size) for size in batches])
        lower.xaxis.set_minor_locator(NullLocator())
        lower.set_xlabel("images a call")
        settle(figure)
        for axes in (upper, lower):
            ends = [(float(line.get_xdata()[-1]), float(line.get_ydata()[-1])) for line in axes.lines]
            number(axes, shown, ends)
        caption = "Above: images a second; below: the median time of a call."
        return Chart(name, title, caption, " ".join(words), to_svg(figure, name, title, " ".join(words)), keyed=True)


def scale(axes: Axes, which: str, low: float, high: float, ticks: int = 6) -> bool:
    """A logarithmic axis where the range is wide, with ticks that say something; whether it is one.

    Args:
        axes: whose axis it is.
        which: `x` or `y`.
        low: of the values, the lowest.
        high: the highest.
        ticks: about how many.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    wide = low > 0 and high / low >= WIDE_RANGE
    if wide:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        steps = (1, 2, 5) if high / low < 10**2.5 and ticks > 3 else (1,) if high / low > 30 else (1, 3)
        axis.set_major_locator(LogLocator(subs=steps, numticks=20))
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
    else:
        axis.set_major_locator(MaxNLocator(ticks, steps=STEPS))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    return wide


def number(axes: Axes, shown: Sequence[Shown], places: Sequence[tuple[float, float]], lift: float = 0) -> None:
    """The engines' numbers to the right of their places, moved apart where they would overlap.

    Args:
        axes: with its limits set, and drawn once.
        shown: engines.
        places: of each, in the units of the axes.
        lift: how much higher than their places, in units of the picture.
    """
    seen = axes.transData.transform(places)
    heights = spread([(float(x), float(y)) for x, y in seen])
    for one, place, (_, y), height in zip(shown, places, seen, heights, strict=True):
        axes.annotate(
            str(one.number),
            place,
            xytext=(9, height - y + lift),
            textcoords="offset points",
            color=one.colour,
            fontweight="bold",
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": one.colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 2},
        )


def spread(points: Sequence[tuple[float, float]], gap: float = SMALL + 1, near: float = 16.0) -> list[float]:
    """Heights of labels for points: their own, or moved up until none is less than `gap` from one that is near in x."""
    heights = [y for _, y in points]
    done: list[int] = []
    for index in sorted(range(len(points)), key=lambda index: points[index][1]):
        beside = [heights[other] for other in done if abs(points[other][0] - points[index][0]) < near]
        for taken in sorted(beside):
            if abs(taken - heights[index]) < gap:
                heights[index] = taken + gap
        done.append(index)
    return heights
