"""What Prometheus is given."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from runtime.camera.frame import State
from runtime.camera.web.desk import Desk
from runtime.camera.web.guard import Guard
from runtime.camera.web.messages import SourceStats, Stats
from runtime.camera.web.pages import Handler
from runtime.camera.web.stats import BOUNDS_S

PREFIX = "toolkit_camera"


class Reading(Collector):
    """Makes metrics of the latest stats."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def describe(self) -> list[Metric]:
        """Nothing: they are not asked for before there are any."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        stats = self.desk.stats
        if not stats:
            return
        yield from of_sources(stats.sources)
        yield counter("inferences", "Images that the model has seen", stats.inferences)
        yield counter("batches", "Calls of the model", stats.batches)
        yield gauge("paused", "Whether the reading is paused", float(stats.paused))
        yield gauge("threshold", "Probability below which a digit is refused", stats.threshold)
        yield gauge("uptime_seconds", "Since the reading began", stats.uptime_s)
        yield gauge("viewers", "Browsers that show the page", float(len(self.desk.watching)))
        yield gauge("visitors", "Browsers whose own camera is read", float(len(self.desk.visits)))
        yield of_stages(stats)


def of_sources(sources: tuple[SourceStats, ...]) -> list[Metric]:
    """With a label for each source."""
    frames = labelled("frames", "Frames that came from a source: read, or dropped")
    read = labelled("frames_read", "Frames in which digits were looked for")
    recalled = labelled("frames_recalled", "Of these, on which nothing had changed since an earlier one was read")
    dropped = labelled("frames_dropped", "Frames that were not read, by the reason", "reason")
    reconnects = labelled("reconnects", "How often a source was lost and came back")
    digits = labelled("digits", "Digits accepted, over all frames")
    refused = labelled("refused", "Things looked at that are no digits, over all frames")
    up = GaugeMetricFamily(f"{PREFIX}_source_up", "Whether a source gives frames", labels=["source"])
    for source in sources:
        frames.add_metric([source.name], source.frames + sum(source.dropped.values()))
        read.add_metric([source.name], source.frames)
        recalled.add_metric([source.name], source.recalled)
        for reason, count in source.dropped.items():
            dropped.add_metric([source.name, reason], count)
        reconnects.add_metric([source.name], source.reconnects)
        digits.add_metric([source.name], source.digits)
        refused.add_metric([source.name], source.refused)
        up.add_metric([source.name], float(source.state == State.STREAMING.value))
    return [frames, read, recalled, dropped, reconnects, digits, refused, up]


def of_stages(stats: Stats) -> Metric:
    """How long each stage takes."""
    family = HistogramMetricFamily(f"{PREFIX}_stage_seconds", "What a frame takes, by stage", labels=["stage"])
    for stage, histogram in stats.stages.items():
        bounds = [str(bound) for bound in BOUNDS_S]
        buckets = [*zip(bounds, map(float, histogram.counts), strict=True)]
        family.add_metric([stage], [*buckets, ("+Inf", float(stats.latency_ms[stage].count))], histogram.sum_s)
    return family


def labelled(name: str, about: str, *labels: str) -> CounterMetricFamily:
    """A counter with labels."""
    return CounterMetricFamily(f"{PREFIX}_{name}", about, labels=["source", *labels])


def counter(name: str, about: str, value: float) -> Metric:
    """A counter."""
    return CounterMetricFamily(f"{PREFIX}_{name}", about, value=value)


def gauge(name: str, about: str, value: float) -> Metric:
    """A value at this moment."""
    return GaugeMetricFamily(f"{PREFIX}_{name}", about, value=value)


def registry_for(desk: Desk) -> CollectorRegistry:
    """Metrics of the reading, and of its process as the official client has them."""
    registry = CollectorRegistry()
    registry.register(Reading(desk))
    ProcessCollector(pid=lambda: desk.order.parent, registry=registry)
    return registry


class Metrics(Handler):
    """The text that Prometheus fetches."""

    def initialize(self, desk: Desk, guard: Guard, registry: CollectorRegistry) -> None:  # type: ignore[override]
        """`registry` has all metrics."""
        super().initialize(desk, guard)
        self.registry = registry

    def get(self) -> None:
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(generate_latest(self.registry))
