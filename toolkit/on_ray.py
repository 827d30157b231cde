"""Classifying on many machines: Ray Data reads, spreads, retries, keeps count and writes; sessions answer."""

from __future__ import annotations

import logging
import os
import secrets
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from runtime import canonical
from runtime.backend import available_cores
from runtime.bundle import MANIFEST, PLAN, Bundle
from runtime.classification import ImageFile, Unreadable, classify
from runtime.errors import DataError, ToolkitError
from runtime.images import MAX_MEGAPIXELS, SUFFIXES
from runtime.session import open_session

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import FileSystem

COLUMNS = ("path", "bytes")
ANSWERS = ("error", "refused", "top")  # the columns of the output beside the name
BATCH = 64  # rows that a worker is given at a time
CPU_SHARE = 0.5  # of a CPU, as Ray counts them, for each thread of a session
LITTLE = 0.5  # for reading and for writing, which wait most of the time
RESERVED = 2  # CPUs that Ray wants for reading, writing and its own actors: without them it waits for ever


@dataclass(frozen=True)
class Job:
    """What to classify, and how.

    Attributes:
        bundle: that answers; it travels with the job.
        images: folders, files or Parquet files, on any filesystem that Ray reads.
        output: a folder for Parquet files, by its path from the root or its URI, as images are.
        top: how many classes for each image.
        workers: how many sessions; None is one for each CPU, or GPU for a plan.
        threads: of each session, on a CPU.
        backend: as in `open_session`.
        trust: as in `open_session`.
        max_megapixels: a larger image is not decoded.
        columns: of Parquet input: the name of an image, which has to be unlike all others, and its bytes.
    """

    bundle: Bundle
    images: tuple[str, ...]
    output: str
    top: int = 1
    workers: int | None = None
    threads: int = 1
    backend: str | None = None
    trust: bool = False
    max_megapixels: float = MAX_MEGAPIXELS
    columns: tuple[str, str] = COLUMNS

    @property
    def checkpoint(self) -> str:
        """Where Ray keeps the names of the images that were answered, until all are; another place for another job."""
        hangs_on = {"bundle": self.bundle.manifest.digest, "top": self.top, "columns": list(self.columns)}
        return f"{self.output.rstrip('/')}.{canonical.digest(hangs_on)[:12]}.checkpoint"


class Worker:
    """An actor with a session.

    Args:
        files: of the bundle, by name.
        job: but for its bundle.
    """

    def __init__(self, files: dict[str, bytes], job: dict[str, Any]) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="bundle-")
        for name, data in files.items():
            Path(self.folder.name, name).write_bytes(data)
        self.top, self.max_megapixels = job["top"], job["max_megapixels"]
        self.name, self.data = job["columns"]
        self.session = open_session(
            self.folder.name, backend=job["backend"], threads=job["threads"], trust=job["trust"]
        )

    def __call__(self, table: pa.Table) -> pa.Table:
        import pyarrow as pa

        names, data = (table.column(name).to_pylist() for name in (self.name, self.data))
        images = (ImageFile(str(name), one or b"") for name, one in zip(names, data, strict=True))
        rows = []
        for name, answer in zip(names, classify(self.session, images, self.top, self.max_megapixels), strict=True):
            row = msgspec.to_builtins(answer)
            row[self.name], row["error"] = name, answer.error if isinstance(answer, Unreadable) else None
            rows.append(row)
        one = pa.struct({"index": pa.int32(), "label": pa.string(), "probability": pa.float32()})
        fields = {self.name: table.schema.field(self.name).type, "error": pa.string(), "refused": pa.bool_()}
        return pa.Table.from_pylist(rows, pa.schema({**fields, "top": pa.list_(one)}))


def run(job: Job, address: str, *, resume: bool, force: bool) -> tuple[int, int]:
    """Classify all images of a job, each exactly once, whatever becomes of workers meanwhile.

    Args:
        job: what to do.
        address: of a cluster, or `local` for one of this machine's own.
        resume: go on after what an earlier run left; it may have left nothing.
        force: drop what is there.

    Returns:
        How many images there are in the output, and how many of them could not be read.

    Raises:
        DataError: the images or the columns do not fit.
        ToolkitError: there is an output already, or Ray fails.
    """
    if address == "local":
        keep_to_ourselves()
    import ray  # before pyarrow, which comes with it: an error names what is missing
    from ray.data.checkpoint import CheckpointConfig

    parquet_files(job)
    filesystem, path = make_room(job, resume=resume, force=force)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # errors come as exceptions
    try:
        # Ray is told of more CPUs than there are: what it wants them for costs little.
        here = {"include_dashboard": False, "num_cpus": RESERVED + available_cores()}
        where = here if address == "local" else {"address": address}
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
        try:
            logging.getLogger("ray.data").setLevel(logging.ERROR)
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = os.isatty(2)
            context.checkpoint_config = CheckpointConfig(job.columns[0], job.checkpoint)
            classified(job).write_parquet(job.output, ray_remote_args={"num_cpus": LITTLE})
        finally:
            ray.shutdown()
    except (ray.exceptions.RayError, OSError, ValueError, ConnectionError) as error:
        raise ToolkitError(
            f"Ray ended early: {str(error).strip().splitlines()[-1]}",
            f"--resume goes on after what {job.output} holds already",
        ) from error
    from pyarrow import dataset

    written = dataset.dataset(path, filesystem=filesystem, format="parquet")
    return written.count_rows(), written.count_rows(filter=dataset.field("error").is_valid())


def keep_to_ourselves() -> None:
    """Let a cluster that will be started here take work from those alone who know a token, of one run.

    It listens on every network, and before Ray 2.60 it runs what anybody sends. Ray reads this as it is imported.
    """
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))


def classified(job: Job) -> Any:
    """The answers to all images, as a `ray.data.Dataset` that has not run yet."""
    import ray

    gpu = PLAN in job.bundle.manifest.files and job.backend is None
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
    share = LITTLE if gpu else CPU_SHARE * job.threads
    workers = job.workers or max(gpus if gpu else int((cpus - RESERVED) / job.threads), 1)
    if workers > gpus and gpu:
        raise ToolkitError(
            f"{workers} sessions need a GPU each, and the cluster has {gpus}", "give --workers or --backend"
        )
    if workers * share + RESERVED > cpus:
        raise ToolkitError(
            f"{workers} sessions of {job.threads} threads leave Ray too little of {cpus} CPUs",
            f"give {max(int((cpus - RESERVED) / share), 1)} --workers or fewer, or more machines",
        )
    files = {name: (job.bundle.path / name).read_bytes() for name in (MANIFEST, *job.bundle.manifest.files)}
    told = {name: getattr(job, name) for name in ("top", "max_megapixels", "columns", "backend", "threads", "trust")}
    return read(job).map_batches(
        Worker,
        fn_constructor_kwargs={"files": files, "job": told},
        batch_format="pyarrow",
        batch_size=BATCH,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=share,
        num_gpus=1 if gpu else None,
    )


def read(job: Job) -> Any:
    """The names and the bytes of all images, as a `ray.data.Dataset`."""
    import ray

    tables = parquet_files(job)
    if tables:
        held = ray.data.read_parquet(tables, ray_remote_args={"num_cpus": LITTLE}).schema().names
        missing = [name for name in job.columns if name not in held]
        if missing:
            raise DataError(
                f"{tables[0]} has no column '{missing[0]}', but {', '.join(held)}",
                "name that of an image's name and that of its bytes with --columns",
            )
        return ray.data.read_parquet(tables, columns=list(job.columns), ray_remote_args={"num_cpus": LITTLE})
    suffixes = [suffix[1:] for suffix in SUFFIXES]
    return ray.data.read_binary_files(list(job.images), include_paths=True, file_extensions=suffixes, num_cpus=LITTLE)


def parquet_files(job: Job) -> list[str]:
    """Those of the images; all are, or none.

    Raises:
        DataError: some are, or the columns do not fit.
    """
    tables = [name for name in job.images if name.endswith(".parquet")]
    if tables and len(tables) < len(job.images):
        raise DataError("Parquet files and other images are given together", "classify them one after the other")
    if not tables and job.columns != COLUMNS:
        raise DataError("--columns names those of Parquet files, and none are given", "leave it out")
    if job.columns[0] in ANSWERS:
        raise DataError(
            f"the column '{job.columns[0]}' would be that of an answer too", "rename it in the Parquet files"
        )
    return tables


def make_room(job: Job, *, resume: bool, force: bool) -> tuple[FileSystem, str]:
    """See that the output is free, or belongs to the same job.

    Returns:
        The filesystem of the output, and its path there.
    """
    from pyarrow import fs

    filesystem, path = fs.FileSystem.from_uri(job.output)
    checkpoint = fs.FileSystem.from_uri(job.checkpoint)[1]
    written = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    begun = filesystem.get_file_info(checkpoint).type != fs.FileType.NotFound
    if force:
        foreign = [info.base_name for info in written if not info.base_name.endswith(".parquet")]
        if foreign:
            raise ToolkitError(f"{job.output} holds {foreign[0]}, which is none of its files", "give another folder")
        for info in written:
            filesystem.delete_file(info.path)
        if begun:
            filesystem.delete_dir(checkpoint)
    elif written and not resume:
        raise ToolkitError(f"{job.output} is there already", "--resume goes on after it, --force starts over")
    elif written and not begun:
        raise ToolkitError(
            f"{job.output} is complete, or holds answers of another bundle or of other options",
            "give those of that run, or --force to start over",
        )
    return filesystem, path


def local_paths(names: Iterable[str]) -> list[str]:
    """Paths of files from the root, since workers run in folders of their own; URIs as they are."""
    return [name if "://" in name else os.path.abspath(name) for name in names]
