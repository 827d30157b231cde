"""How the reading goes, for the page and for Prometheus."""

from __future__ import annotations

import time

import msgspec

from runtime.camera.controls import Controls
from runtime.camera.feed import Feed
from runtime.camera.frame import State
from runtime.camera.summary import Tally, summaries
from runtime.camera.web.messages import Histogram, SourceStats, Stats
from runtime.errors import first_line
from runtime.text import plain

#: Seconds; upper bounds of the buckets that Prometheus is given. A frame of 30 a second may take 33 ms.
BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.033, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


def stats_of(feed: Feed, tally: Tally, controls: Controls) -> Stats:
    """All that is known at this moment."""
    return Stats(
        paused=controls.paused,
        threshold=controls.threshold or 0.0,
        uptime_s=round(tally.seconds, 1),
        inferences=tally.inferences,
        batches=tally.batches,
        sources=source_stats(feed, tally, controls),
        latency_ms=tally.timing.summary(),
        stages={
            name: Histogram(tuple(durations.up_to(BOUNDS_S)), round(durations.sum_s, 6))
            for name, durations in tally.timing.stages.items()
        },
    )


def source_stats(feed: Feed, tally: Tally, controls: Controls) -> tuple[SourceStats, ...]:
    """Of each source; of visitors together."""
    channels = {channel.counted_as: (index, channel) for index, channel in enumerate(feed.fixed)}
    found = []
    for summary in summaries(feed, tally):
        counts, name = tally.sources[summary.source], summary.source
        index, channel = channels.get(name, (-1, None))
        source = channel.source if channel else None
        visitors = len(feed.visiting)
        found.append(
            SourceStats(
                index=index,
                name=plain(name),
                state=(source.state if source else State.STREAMING).value,
                status=plain(source.status) if source else f"{visitors} {'visitor' if visitors == 1 else 'visitors'}",
                live=source.live if source else True,
                size=source.size if source else None,
                fps=round(counts.rate.at(time.monotonic()), 2),
                latency_ms=round(1e3 * counts.latency_s, 2),
                frames=summary.frames,
                recalled=summary.recalled,
                dropped=msgspec.structs.asdict(summary.dropped),
                reconnects=summary.reconnects,
                digits=summary.digits,
                refused=summary.refused,
                region=controls.region_of(name) if source else None,
                error=plain(first_line(channel.error)) if channel and channel.error else "",
            )
        )
    return tuple(found)
