"""What measurements give. Values only: `bench`, `report` and their JSON are made of them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from runtime.manifest import Count, GpuTimes, Milliseconds, Percent

Share = Annotated[float, Meta(ge=0, le=1)]
NotNegative = Annotated[float, Meta(ge=0)]


class Interval(Struct, frozen=True):
    """Where a figure lies with a probability of 95 %.

    Attributes:
        low, high: the ends, in the unit of the figure.
    """

    low: float
    high: float


class Times(Struct, frozen=True):
    """How the time of a call is distributed, in milliseconds.

    Attributes:
        p50, p90, p95, p99, p999, max: percentiles; null where there are too few samples for one (a percentile needs ten
            above it), but for `p50` and `max`.
        mean: of all samples.
        p50_interval, p99_interval: by a bootstrap over rounds; null where there are too few.
        jitter: the mean difference between a call and the one before, without its sign.
        variation_percent: the standard deviation over the mean.
        samples: how many calls.
        seconds: that they took together.
    """

    p50: Milliseconds
    p90: Milliseconds | None
    p95: Milliseconds | None
    p99: Milliseconds | None
    p999: Milliseconds | None
    max: Milliseconds
    mean: Milliseconds
    p50_interval: Interval | None
    p99_interval: Interval | None
    jitter: Milliseconds
    variation_percent: NotNegative
    samples: Count
    seconds: NotNegative


class Ratio(Struct, frozen=True):
    """The median time of a call over that of the engine named first, both measured in turns in one run.

    Attributes:
        value: below 1 where it is the faster.
        interval: by a bootstrap over rounds, the same rounds of both; null where there are too few.
        within_noise: 1 lies in the interval: neither can be called the faster.
    """

    value: NotNegative
    interval: Interval | None
    within_noise: bool


class Histogram(Struct, frozen=True):
    """Counts of times, for a picture.

    Attributes:
        edges: of the bins in milliseconds, one more than there are bins; spaced evenly on a logarithmic scale.
        counts: of samples in each.
    """

    edges: tuple[Milliseconds, ...]
    counts: tuple[Count, ...]


class Round(Struct, frozen=True):
    """One of the turns that an engine took.

    Attributes:
        at_s: when it began, from the start of the run.
        p50, max: of its calls, in milliseconds.
    """

    at_s: NotNegative
    p50: Milliseconds
    max: Milliseconds


class SingleStream(Struct, frozen=True):
    """One request after another, batch 1 unless another was asked for; images in memory to probabilities in memory.

    Attributes:
        batch: images a call.
        times: of calls.
        ratio: to the engine named first; null for that one itself.
        cpu_ms: of all cores together, a call.
        warm_up_calls: that were thrown away before, until times were steady.
        steady: whether they became so within the limit.
        histogram: of the times.
        rounds: in the order in which they were measured.
    """

    batch: Count
    times: Times
    ratio: Ratio | None
    cpu_ms: Milliseconds
    warm_up_calls: Count
    steady: bool
    histogram: Histogram
    rounds: tuple[Round, ...]


class BatchPoint(Struct, frozen=True):
    """Throughput at one batch size.

    Attributes:
        batch: images a call.
        p50_ms: of a call.
        images_per_second: over all that was timed.
    """

    batch: Count
    p50_ms: Milliseconds
    images_per_second: NotNegative


class Paced(Struct, frozen=True):
    """A camera's pace: a request when its frame is due, and sleep between, in which clocks fall.

    Attributes:
        fps: frames a second.
        times: from when the frame was due to its answer.
        late: frames whose answer came after the next one was due.
    """

    fps: NotNegative
    times: Times
    late: Count


class ColdStart(Struct, frozen=True):
    """Processes that were started for one answer, one after another, with the files in the system's cache.

    Attributes:
        start_ms: from the start of the process to the first answer, the median.
        load_ms: of opening the engine alone, with what it has cached, the median.
        first_call_ms: of the first call, the median.
        peak_memory_bytes: of such a process after some calls, the most of all; null where the system does not tell.
        starts: how many.
    """

    start_ms: Milliseconds
    load_ms: Milliseconds
    first_call_ms: Milliseconds
    peak_memory_bytes: Count | None
    starts: Count


class Energy(Struct, frozen=True):
    """Energy of an inference, without what the machine takes when it is idle.

    Attributes:
        millijoules: an image, at `batch` of the single stream.
        watts: while it ran, idle included.
        idle_watts: just before.
        source: the sensor, in words.
    """

    millijoules: float
    watts: NotNegative
    idle_watts: NotNegative
    source: str


class Preparation(Struct, frozen=True):
    """What an image takes before it goes into the engine.

    Attributes:
        preprocess_ms: from decoded pixels to the model's size, the median of an image.
        decode_ms: from the file to pixels, the median; null where the images are not files.
        together_ms: decoded, prepared and answered, one after another, the median; null like that.
        images: how many were taken.
    """

    preprocess_ms: Milliseconds
    decode_ms: Milliseconds | None
    together_ms: Milliseconds | None
    images: Count


class Performance(Struct, frozen=True):
    """All that was timed of one engine. What was not asked for is null or empty.

    Attributes:
        single: one request after another.
        batches: throughput over batch sizes; empty where it was not asked for.
        paced: at each pace that was asked for.
        cold: starts of processes.
        preparation: of images.
        energy: of an inference.
        energy_reason: why there is none.
        gpu: what a call on a GPU spends its time on; null elsewhere.
    """

    single: SingleStream
    batches: tuple[BatchPoint, ...] = ()
    paced: tuple[Paced, ...] = ()
    cold: ColdStart | None = None
    preparation: Preparation | None = None
    energy: Energy | None = None
    energy_reason: str = ""
    gpu: GpuTimes | None = None


class Machine(Struct, frozen=True):
    """What was measured on.

    Attributes:
        name: of the host.
        system: operating system and kernel.
        python: version.
        cpu: model name.
        cores: that this process may use.
        memory_bytes: of the machine.
        board: of a Jetson, with its JetPack; empty elsewhere.
        gpus: names.
        packages: versions of the libraries that run engines, by name.
    """

    name: str
    system: str
    python: str
    cpu: str
    cores: Count
    memory_bytes: Count | None
    board: str
    gpus: tuple[str, ...]
    packages: dict[str, str]


class Conditions(Struct, frozen=True):
    """The state of the machine while it was measured. Null or empty where the system does not tell.

    Attributes:
        governor: of the CPU's clock, such as `performance`; several with commas.
        power_mode: nvpmodel's, on a Jetson.
        clock_mhz: of the CPU's cores, the lowest and the highest mean over cores that was seen.
        temperature_c: the highest that was seen at any sensor.
        throttled: the CPU or GPU slowed itself down while it was measured.
        load_before: processes that wanted to run on average in the minute before.
        others_percent: of the machine's CPU time that went to others while it was measured.
        stolen_percent: that a virtual machine did not get.
        warnings: why the figures should be taken with care, for people.
    """

    governor: str
    power_mode: str
    clock_mhz: Interval | None
    temperature_c: float | None
    throttled: bool | None
    load_before: NotNegative | None
    others_percent: Percent | None
    stolen_percent: Percent | None
    warnings: tuple[str, ...]


class ClassAccuracy(Struct, frozen=True):
    """One class.

    Attributes:
        index: of the class.
        label: its name, or its index.
        images: that have it.
        recall: of these, answered with it; null without any.
        precision: of the answers with it, right; null without any.
    """

    index: Count
    label: str
    images: Count
    recall: Percent | None
    precision: Percent | None


class ReliabilityBin(Struct, frozen=True):
    """Answers that are about as sure.

    Attributes:
        images: how many.
        confidence: the mean of their probabilities, 0..1.
        right: the share of them that is right, 0..1.
    """

    images: Count
    confidence: Share
    right: Share


class Pairing(Struct, frozen=True):
    """Answers beside those of the reference, on the same images.

    Attributes:
        agreement: of the images, put into the same class by both, in percent.
        drop_points: top-1 of the reference less that of the engine, in percentage points; null without labels.
        drop_interval: of `drop_points`, of paired proportions; null without labels.
        lost, gained: images that only the reference, only the engine has right; null without labels.
        p_value: of McNemar's exact test, that they are equally often right; null without labels.
    """

    agreement: Percent
    drop_points: float | None
    drop_interval: Interval | None
    lost: Count | None
    gained: Count | None
    p_value: Share | None


class Changed(Struct, frozen=True):
    """An image that the engine and the reference answer differently.

    Attributes:
        image: counted from 0 in the whole set.
        file: its file; null where the set is one file.
        label: the right class; null without labels.
        reference, engine: the classes that they answer; -1 for NaN.
        reference_probability, engine_probability: of these.
    """

    image: Count
    file: str | None
    label: int | None
    reference: int
    engine: int
    reference_probability: float
    engine_probability: float


class MeasuredAccuracy(Struct, frozen=True):
    """The answers of one engine on a set of images. Percentages in 0..100.

    Attributes:
        images: how many.
        top1, top5: of them, with the right class among the first 1, 5 answers; null without labels, `top5` also with
            fewer than six classes.
        top1_interval, top5_interval: Wilson's.
        calibration_error: the expected one, over 15 bins of equal width, 0..1; null without labels.
        reliability: those bins, of which some may be empty.
        classes: one by one; empty without labels.
        confusion: images by right class (rows) and answer (columns), counts; empty without labels, or with more than
            `MOST_CONFUSION` classes.
        confused: the pairs of classes that are taken for each other most often: right class, answer, images.
        refused: of the images, with a probability below the bundle's threshold, in percent; null without a threshold.
        broken: images that are answered with NaN.
        pairing: beside the reference; null for the reference itself, or without one.
        changed: the images with another answer than the reference's, the first `MOST_CHANGED` of them.
    """

    images: Count
    top1: Percent | None
    top5: Percent | None
    top1_interval: Interval | None
    top5_interval: Interval | None
    calibration_error: Share | None
    reliability: tuple[ReliabilityBin, ...]
    classes: tuple[ClassAccuracy, ...]
    confusion: tuple[tuple[Count, ...], ...]
    confused: tuple[tuple[Count, Count, Count], ...]
    refused: Percent | None
    broken: Count
    pairing: Pairing | None
    changed: tuple[Changed, ...]


MOST_CONFUSION = 100  # classes
MOST_CONFUSED = 20  # pairs
MOST_CHANGED = 100  # images
