"""The cache folder: found, made, filled, damaged, deleted; and what OpenVINO keeps in it."""

from __future__ import annotations

import itertools
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import cache, open_session
from runtime.backend import EngineFile, EngineOptions, installed_backends
from runtime.backends import openvino as backend
from runtime.cache import cache_folder, read_entry, write_entry
from runtime.errors import CacheError
from runtime.session import session_on
from runtime.spec import BatchRange
from tests.command import environment
from tests.tiny import expected_answers, make_images, make_spec, write_model

DATA = bytes(range(256)) * 5
needs_openvino = pytest.mark.skipif("openvino" not in installed_backends(), reason="openvino does not run here")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and no XDG_CACHE_HOME."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return folder


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir()]


def test_a_folder_that_is_asked_for_is_made_for_this_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "one" / "two"
    assert cache_folder(folder) == cache_folder(str(folder)) == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_relative_folder_stays_the_same_one_after_a_change_of_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cache_folder("here") == tmp_path / "here"


def test_a_folder_that_is_there_keeps_its_mode_and_content(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "file").touch()
    assert cache_folder(tmp_path) == tmp_path
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert (tmp_path / "file").exists()


@pytest.mark.parametrize("below", ["", "below"])
def test_a_file_in_the_way_is_an_error_with_a_hint(tmp_path: Path, tiny_bundle: Path, below: str) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / below
    with pytest.raises(CacheError, match="file") as caught:
        open_session(tiny_bundle, cache_dir=folder)
    assert "--cache-dir" in caught.value.hint


def test_a_place_that_cannot_be_written_is_an_error_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(CacheError, match="Read-only file system"):
        cache_folder(tmp_path / "new")
    assert cache_folder(None) is None


def test_the_default_is_the_users_cache_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cache_folder(None)
    assert folder == home / ".cache" / "edge-deployment-toolkit"
    assert folder.is_dir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "elsewhere"))
    assert cache_folder(None) == home / "elsewhere" / "edge-deployment-toolkit"


@needs_openvino
def test_without_a_folder_of_the_users_the_work_goes_on(
    home: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".cache").touch()
    assert cache_folder(None) is None
    with open_session(tiny_bundle, backend="openvino", threads=1) as session:
        np.testing.assert_allclose(session.run(make_images(2)), expected_answers(make_images(2)), atol=2e-5)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: Path("~/.cache") / name)  # a user without a home
    monkeypatch.chdir(home)
    assert cache_folder(None) is None
    assert [path.name for path in home.iterdir()] == [".cache"]


def test_an_entry_is_read_as_it_was_written(tmp_path: Path) -> None:
    for data in (b"", b"x", DATA):
        write_entry(tmp_path / "new" / "name", data)
        assert read_entry(tmp_path / "new" / "name") == data
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["name"]
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "new" / "name").stat().st_mode) == 0o600


def test_an_entry_that_is_not_whole_is_none(tmp_path: Path) -> None:
    path = tmp_path / "name"
    write_entry(path, DATA)
    whole = path.read_bytes()
    assert read_entry(tmp_path / "other") is None
    for length in (0, 1, 31, 32, 33, 500, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert read_entry(path) is None
    for position in (0, 31, 32, len(whole) // 2, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        assert read_entry(path) is None
    path.write_bytes(whole + b"\0")
    assert read_entry(path) is None
    (tmp_path / "renamed").write_bytes(whole)
    assert read_entry(tmp_path / "renamed") is None
    path.write_bytes(whole)
    assert read_entry(path) == DATA


def test_a_pipe_is_no_entry(tmp_path: Path) -> None:
    path = tmp_path / "name"
    write_entry(path, DATA)
    whole = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(whole,), daemon=True)
    writer.start()
    assert read_entry(path) is None
    assert path.read_bytes() == whole  # nobody took it
    writer.join()
    write_entry(path, DATA)
    assert read_entry(path) == DATA


def test_what_cannot_be_written_is_not_kept_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").mkdir()
    write_entry(tmp_path / "taken", DATA)
    assert read_entry(tmp_path / "taken") is None
    (tmp_path / "file").touch()
    write_entry(tmp_path / "file" / "name", DATA)
    monkeypatch.setattr(cache, "seal", lambda name, data: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_entry(tmp_path / "name", DATA)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken"]


def test_what_was_used_least_recently_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_BYTES", 3 * (len(DATA) + cache.DIGEST_BYTES))
    for age, name in enumerate(("a", "b", "c")):
        write_entry(tmp_path / name, DATA)
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    assert read_entry(tmp_path / "a") == DATA  # used just now
    write_entry(tmp_path / "d", DATA)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "c", "d"}
    monkeypatch.setattr(cache, "MAX_BYTES", 10)
    write_entry(tmp_path / "e", DATA)
    assert list(tmp_path.iterdir()) == []


@needs_openvino
def test_two_models_never_share_an_entry_nor_does_one_in_two_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model.onnx"
    write_model(model)
    whole = model.read_bytes()
    almost = bytearray(whole)
    almost[whole.index(np.float32(128).tobytes())] ^= 1  # one weight, by its last bit
    seen = []
    for content, threads, batch in itertools.product((whole, bytes(almost)), (1, 2), (1, 4, None)):
        model.write_bytes(content)
        os.utime(model, (1000, 1000))
        options = EngineOptions(threads=threads, cache_dir=tmp_path)
        seen.append(backend.cache_entry(model, make_spec(), options, batch))
    options = EngineOptions(threads=1, cache_dir=tmp_path)
    for name, value in (("cpu_identity", {"model": "another"}), ("properties", {"INFERENCE_PRECISION_HINT": "bf16"})):
        with monkeypatch.context() as patch:
            patch.setattr(backend, name, lambda *arguments, value=value: value)
            seen.append(backend.cache_entry(model, make_spec(), options, 1))
    with monkeypatch.context() as patch:
        patch.setattr(backend.openvino(), "__version__", "2030.0")
        seen.append(backend.cache_entry(model, make_spec(), options, 1))
    assert None not in seen
    assert len(set(seen)) == len(seen)
    shutil.move(model, tmp_path / "moved.onnx")
    assert backend.cache_entry(tmp_path / "moved.onnx", make_spec(), options, 1) in seen  # wherever it lies


def test_the_processor_is_known_by_more_than_its_name() -> None:
    assert len(backend.cpu_identity()) > 3


@needs_openvino
def test_nothing_is_kept_for_large_models_other_devices_and_models_that_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model.onnx"
    write_model(model)

    def entry(path: Path = model, device: str | None = None) -> Path | None:
        options = EngineOptions(device=device, cache_dir=tmp_path)
        return backend.cache_entry(path, make_spec(), options, 1)

    assert entry() == entry(device="CPU") is not None
    assert entry(device="GPU") is None
    assert entry(tmp_path / "nothing") is None
    monkeypatch.setattr(backend, "LARGEST_KEPT", model.stat().st_size - 1)
    assert entry() is None


@needs_openvino
def test_what_is_kept_is_what_runs(tmp_path: Path) -> None:
    """An entry that holds another model, well sealed, answers as that one: so it is really used."""
    images, kept = make_images(3), tmp_path / "cache"
    options = EngineOptions(batch=BatchRange(3, 3, 3), threads=1, cache_dir=kept)
    answers = []
    for seed in (0, 5):
        write_model(tmp_path / f"{seed}.onnx", seed)
        with session_on("openvino", EngineFile(tmp_path / f"{seed}.onnx", {}, None), make_spec(), options) as session:
            answers.append(session.run(images))
    one, other = (backend.cache_entry(tmp_path / f"{seed}.onnx", make_spec(), options, 3) for seed in (0, 5))
    assert one is not None and other is not None
    assert sorted(files(kept)) == sorted((one, other))
    data = read_entry(other)
    assert data is not None
    write_entry(one, data)
    with session_on("openvino", EngineFile(tmp_path / "0.onnx", {}, None), make_spec(), options) as session:
        np.testing.assert_array_equal(session.run(images), answers[1])
    assert not np.allclose(*answers)


LOAD = """
import sys
from pathlib import Path
from runtime.backend import EngineOptions
from runtime.backends import openvino
from tests.tiny import make_spec
folder, threads = Path(sys.argv[1]), int(sys.argv[2])
options = EngineOptions(threads=threads, cache_dir=folder / "cache")
for _ in range(2):
    loaded = openvino.load_model(folder / "model.onnx", make_spec(), options, 1)
    assert loaded.get_property("INFERENCE_NUM_THREADS") == threads
    assert loaded.get_property("ENABLE_CPU_PINNING") is False
    assert loaded.input(0).shape == [1, 8, 8, 1]
"""


@needs_openvino
@pytest.mark.parametrize("threads", [1, 2])
def test_a_kept_model_runs_in_the_way_that_was_asked_for(tmp_path: Path, threads: int) -> None:
    """In a process with every core, which tests that run side by side have not."""
    write_model(tmp_path / "model.onnx")
    every_core = partial(os.sched_setaffinity, 0, range(os.cpu_count() or 1))
    command = [sys.executable, "-c", LOAD, str(tmp_path), str(threads)]
    done = subprocess.run(command, env=environment(), preexec_fn=every_core, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(files(tmp_path / "cache")) == 1


@needs_openvino
def test_a_model_that_is_replaced_while_it_is_read_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model.onnx"
    write_model(model)
    compile_model = backend.compile_model

    def replaced(*arguments: Any) -> Any:
        write_model(model, seed=1)
        return compile_model(*arguments)

    monkeypatch.setattr(backend, "compile_model", replaced)
    options = EngineOptions(threads=1, cache_dir=tmp_path / "cache")
    session_on("openvino", EngineFile(model, {}, None), make_spec(), options).close()
    assert files(tmp_path) == [model]


# A crash in native code would take the tests with it: these run in processes of their own.

OPENS = """
import json, sys
from pathlib import Path
import numpy as np
from runtime import open_session

def answer(bundle, cache):
    with open_session(bundle, backend="openvino", threads=1, cache_dir=cache) as session:
        return session.run(np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)).tolist()
"""
DAMAGE = """
import os, random
from runtime.cache import write_entry
bundle, cache = sys.argv[1], Path(sys.argv[2])
right = answer(bundle, cache)
entry, = (path for path in cache.rglob("*") if path.is_file())
whole = entry.read_bytes()
rng = random.Random(0)
forms = [whole[:length] for length in (0, 1, 31, 32, 40, 1000, len(whole) // 2, len(whole) - 1)]
forms += [os.urandom(len(whole)), b"\\0" * len(whole), whole + b"more"]
for _ in range(10):
    damaged = bytearray(whole)
    damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
    forms.append(bytes(damaged))
for form in forms:
    entry.write_bytes(form)
    assert answer(bundle, cache) == right
    assert entry.read_bytes() == whole or entry.stat().st_size > 1000  # made again
for data in (b"", b"not OpenVINO's", os.urandom(5000)):  # well sealed, and yet nothing that OpenVINO wrote
    write_entry(entry, data)
    assert answer(bundle, cache) == right
entry.unlink()
entry.mkdir()
assert answer(bundle, cache) == right
print(len(forms))
"""


def child(code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OPENS + code, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def output(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


@needs_openvino
def test_whatever_is_damaged_is_made_again(tiny_bundle: Path, tmp_path: Path) -> None:
    assert output(child(DAMAGE, tiny_bundle, tmp_path / "cache")) == "21\n"


@needs_openvino
def test_eight_processes_fill_one_folder_while_it_is_deleted_again_and_again(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    code = "print(json.dumps([answer(sys.argv[1], sys.argv[2]) for _ in range(5)]))"
    processes = [child(code, tiny_bundle, folder) for _ in range(8)]
    deletions = 0
    while any(process.poll() is None for process in processes):
        deletions += folder.exists()
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.001)
    answers = [answer for process in processes for answer in json.loads(output(process))]
    assert deletions
    assert len(answers) == 40
    assert all(answer == answers[0] for answer in answers)
    image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)
    np.testing.assert_allclose(answers[0], expected_answers(image), atol=2e-5)


@needs_openvino
def test_a_full_disk_and_a_read_only_bundle_do_no_harm(tiny_bundle_copy: Path, tmp_path: Path) -> None:
    """Files may not grow beyond a limit: a write fails half-way, as on a full disk."""
    for path in tiny_bundle_copy.iterdir():
        path.chmod(0o444)
    tiny_bundle_copy.chmod(0o555)
    folder = tmp_path / "cache"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    code = "print(answer(sys.argv[1], sys.argv[2]) == answer(sys.argv[1], sys.argv[2]))"
    assert output(child(code, tiny_bundle_copy, folder, preexec_fn=limit)) == "True\n"
    assert files(folder) == []
    assert output(child(code, tiny_bundle_copy, folder)) == "True\n"
    assert len(files(folder)) == 1
    tiny_bundle_copy.chmod(0o755)
