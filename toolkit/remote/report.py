"""`toolkit report --on`: bundles and images are sent, and measured there."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from runtime.bundle import MANIFEST
from runtime.datasets import Dataset
from runtime.progress import Progress
from toolkit.remote.answer import decode
from toolkit.remote.session import Remote, at_work
from toolkit.report.collect import ReportRequest
from toolkit.report.opening import find_reference, open_bundles, open_images
from toolkit.report.result import Report

SENT = re.compile(r"\bengine(\d+)\b")  # what bundles are called there


def report_there(
    remote: Remote, request: ReportRequest, words: Sequence[str], progress: Progress
) -> tuple[Report, Dataset | None]:
    """Measure bundles on another machine.

    Args:
        remote: the machine.
        request: what to measure.
        words: the options of `report` that are for that machine.
        progress: told of what is sent.

    Returns:
        What was measured there, with the names of here, and the images here.
    """
    bundles = open_bundles(request.bundles, request.reference)
    reference = find_reference(bundles, request.reference)
    dataset = None if request.data is None else open_images(request.data, request.images, bundles)
    words = list(words)
    with at_work(remote, progress) as work:
        sent = {
            name: work.send(f"engine{number}", bundle.path, [MANIFEST, *bundle.manifest.files])
            for number, (name, bundle) in enumerate(bundles.items())
        }
        if reference is not None:
            words.append(f"--reference={sent[reference]}")
        if request.data is not None:
            words.append(f"--data={work.send('images', request.data)}")
        ran = work.run("report", "report", *sent.values(), *words, "--collect", "--json")
        work.require(ran)
        report = decode(remote.address, ran, Report)
    names = list(bundles)

    def here(text: str) -> str:
        return SENT.sub(lambda match: names[int(match[1])] if int(match[1]) < len(names) else match[0], text)

    engines = tuple(
        replace(engine, name=name, bundle=str(bundles[name].path))
        for name, engine in zip(names, report.engines, strict=True)
    )
    conditions = replace(report.conditions, warnings=tuple(map(here, report.conditions.warnings)))
    return replace(
        report,
        command=request.command,
        data="" if dataset is None else dataset.name,
        conditions=conditions,
        reference=reference,
        engines=engines,
        warnings=tuple(map(here, report.warnings)),
    ), dataset
