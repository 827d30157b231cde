"""`toolkit build --on`: which part of a command line is for this machine, and which for the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
from msgspec import structs

from runtime.backends.tensorrt.options import TensorRtOptions
from runtime.bundle import is_bundle
from runtime.progress import Progress
from toolkit.build_arguments import Arguments, build_from_model, open_source, refuse_existing
from toolkit.build_result import BuildResult
from toolkit.remote.build import Wanted, build_there
from toolkit.remote.options import forwarded
from toolkit.remote.session import Remote
from toolkit.zoo import ZOO

#: The options of the engine, by their parameters' names. All others are of the graph, which is made here.
OF_THE_ENGINE = frozenset(
    (
        *("batch", "device", "threads", "workspace_mib", "optimization_level", "version_compatible"),
        *("hardware_compatible", "strip_weights", "compute_capabilities", "verbose"),
    )
)


def build_on(remote: Remote, arguments: Arguments, progress: Progress) -> BuildResult:
    """Resolve what is built here and what there.

    Args:
        remote: the machine.
        arguments: of `build`.
        progress: told of what is sent and brought back.

    Raises:
        ToolkitError: whatever is wrong here, there or in between.
    """
    made: list[BuildResult] = []

    def make(folder: Path, reduced: bool) -> None:
        options = arguments.calib_options
        if options.reduce_range is None:
            options = replace(options, reduce_range=reduced)
        here = replace(arguments, target="onnxruntime", output=folder, device=None, threads=None, calib_options=options)
        made.append(build_from_model(replace(here, tensorrt=TensorRtOptions())))

    if is_bundle(Path(arguments.model)):
        source = open_source(arguments)
        output, precision, maker = arguments.output_for(source.spec.name, source.manifest.precision), None, None
    else:
        if arguments.precision is None:
            raise click.UsageError("--on builds one graph: give --fp32, --fp16 or --int8, or a bundle")
        if arguments.max_drop is not None and remote.resume:
            raise click.UsageError("--max-drop was judged before the connection was lost: leave it out now")
        if arguments.output is None and arguments.model not in ZOO:
            raise click.UsageError("--on needs a name for the bundle: give -o FOLDER")
        output, precision, maker = arguments.output_for(arguments.model, arguments.precision), arguments.precision, make
    refuse_existing(output, arguments.force)
    context = click.get_current_context()
    others = {param.name or "" for param in context.command.params} - OF_THE_ENGINE
    wanted = Wanted(
        model=arguments.model,
        make=maker,
        precision=precision,
        target=arguments.target,
        output=output,
        force=arguments.force,
        eval_data=arguments.eval_data,
        words=forwarded(context, others),
    )
    result = build_there(remote, wanted, progress)
    return structs.replace(result, method=made[0].method, budget=made[0].budget) if made else result
