"""`toolkit camera` with the page, with metrics alone, and with several sources."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from pathlib import Path

import pytest

from tests.camera_command import FREE, NO_DISPLAY, camera
from tests.command import assert_clean_failure, toolkit, without_packages
from tests.runtime.camera.digit_bundle import write_digit_bundle
from tests.runtime.camera.page import TOKEN, Talk, until

ENGINE = ("--backend", "onnxruntime", "--threads", 1)
DRAWN = "synthetic://clean?size=320x240&digits=2"
OTHER = "synthetic://clean?size=320x240&digits=2&seed=2"
ENDLESS = ("--source", DRAWN, *ENGINE)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digit_bundle(tmp_path_factory.mktemp("digits") / "digits")


def test_the_page_and_its_end_with_somebody_who_watches(bundle: Path, tmp_path: Path) -> None:
    with camera(bundle, *ENDLESS, "--view", "web", *FREE, cwd=tmp_path) as it:
        assert it.url and it.url[1] == "the page"
        with Talk(f"ws://127.0.0.1:{it.port}/socket") as viewer:
            text, picture = viewer.frame()
            assert (text["width"], text["height"], picture.shape) == (320, 240, (240, 320, 3))
            start = time.monotonic()
            said = it.end()
            assert time.monotonic() - start < 20  # it takes less than two seconds where nothing else is done
            assert viewer.until("bye")["reason"] == "the toolkit has ended"
        assert re.search("frames? in", said)
        with pytest.raises(ConnectionRefusedError):
            it.ask("/")
    assert list(tmp_path.iterdir()) == []


def test_without_a_display_the_page_is_shown_and_a_port_that_is_taken_is_no_obstacle(
    bundle: Path, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8765))
            taken.listen()
        except OSError:
            pass  # somebody else has it
        with camera(bundle, *ENDLESS, cwd=tmp_path) as it:
            assert it.port != 8765
            assert "no window: " in it.said
            assert it.ask("/").status == 200
            it.end()


def test_health_and_metrics_without_a_page(bundle: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    options = ("--view", "none", *FREE, "--token-file", token)
    with camera(bundle, *ENDLESS, *options, cwd=tmp_path) as it:
        assert it.url and it.url[1] == "metrics and health" and str(token) in it.url[5]
        until(lambda: it.ask("/readyz").status == 200)
        assert it.ask("/").status == 404
        assert it.ask("/metrics").status == 401
        metrics = it.ask("/metrics", Authorization=f"Bearer {TOKEN}").text
        assert f'toolkit_camera_source_up{{source="{DRAWN}"}} 1.0' in metrics
        assert TOKEN not in it.end()


def test_where_others_reach_it_a_token_is_asked_for(bundle: Path, tmp_path: Path) -> None:
    variables = {"XDG_STATE_HOME": str(tmp_path / "state")}
    options = ("--view", "web", "--listen", "0.0.0.0:0", "--allow-host", "camera.example")
    with camera(bundle, *ENDLESS, *options, cwd=tmp_path, **variables) as it:
        (file,) = (tmp_path / "state").rglob("camera-token")
        assert str(file) in it.said
        token = file.read_text().strip()
        assert token not in it.said
        assert it.ask("/").status == 401
        assert it.ask("/", Host="camera.example", Authorization=f"Bearer {token}").status == 200
        assert it.ask("/", Host="other.example", Authorization=f"Bearer {token}").status == 403
        assert token not in it.end()


def test_several_sources_in_one_run(bundle: Path, tmp_path: Path) -> None:
    sources = ("--source", DRAWN, "--source", OTHER, "--frames", 40, "--fast", *ENGINE)
    with camera(bundle, *sources, "--jsonl", "out.jsonl", "--json", "--view", "web", *FREE, cwd=tmp_path) as it:
        assert it.process.wait(120) == 0, it.said
        assert it.process.stdout
        summary = json.loads(it.process.stdout.read())
    assert [source["source"] for source in summary["sources"]] == [DRAWN, OTHER]
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(lines) == summary["frames"] == summary["lines"] >= 40
    for source, counts in zip((DRAWN, OTHER), summary["sources"], strict=True):
        frames = [line["frame"] for line in lines if line["source"] == source]
        assert frames == list(range(counts["frames"]))
        assert counts["frames"] > 5


def test_visitors_are_read_beside_a_source(bundle: Path, tmp_path: Path) -> None:
    with camera(bundle, *ENDLESS, "--source", "browser://", *FREE, cwd=tmp_path) as it:
        assert json.loads(it.ask("/sources.json").text) == {"sources": [DRAWN], "browser": True}
        with Talk(f"ws://127.0.0.1:{it.port}/visit/socket") as visitor:
            assert visitor.receive()["type"] == "ready"
        said = it.end()
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--view", "web", "--tls-key", "KEY"), "--tls-cert"),
        (("--view", "none", "--token-file", "KEY"), "--listen"),
        (("--view", "window", "--allow-host", "camera.example"), "--listen"),
        (("--view", "none", "--tls-cert", "KEY"), "--listen"),
        (("--view", "window", "--source", "browser://"), "--view window"),
        (("--view", "none", "--source", "browser://"), "--view none"),
        (("--source", DRAWN, "--source", DRAWN), "twice"),
        (("--source", DRAWN, "--source", f" {DRAWN}"), "twice"),
        (("--source", DRAWN, "--source", OTHER, "--record", "out.mp4"), "--record"),
        (("--source", "browser://", "--record", "out.mp4"), "--record"),
        (("--view", "page"), "--view"),
    ],
)
def test_wrong_usage(options: tuple[str, ...], word: str, bundle: Path, tmp_path: Path) -> None:
    key, folder = tmp_path / "key", tmp_path / "empty"
    key.write_text(TOKEN)
    folder.mkdir()
    done = toolkit("camera", bundle, *(str(key) if one == "KEY" else one for one in options), *ENGINE, cwd=folder)
    assert done.returncode == 2, done.stderr
    assert word in done.stderr
    assert TOKEN not in done.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--view", "web", "--listen", "nowhere"), ("'nowhere' is no address", "127.0.0.1:8765")),
        (("--view", "web", "--listen", "192.0.2.1:80"), ("nothing can be served at 192.0.2.1:80",)),
        (("--view", "web", *FREE, "--tls-cert", "KEY"), ("cannot be used for TLS", "PEM")),
        (("--view", "web", *FREE, "--token-file", "SHORT"), ("a token is 16 to 1024", "chmod 600")),
        (("--view", "web", *FREE, "--token-file", "gone"), ("gone: no token can be read: No such file", "chmod 600")),
        (("--mqtt", "http://broker"), ("mqtt",)),
        (("--mqtt", "mqtt://"), ("mqtt",)),
    ],
)
def test_failures_have_a_hint(options: tuple[str, ...], words: tuple[str, ...], bundle: Path, tmp_path: Path) -> None:
    files = {"KEY": tmp_path / "key", "SHORT": tmp_path / "short"}
    files["KEY"].write_text(TOKEN)
    files["SHORT"].write_text("hunter2")
    done = toolkit(
        "camera", bundle, *(str(files.get(one, one)) for one in options), *ENDLESS, cwd=tmp_path, **NO_DISPLAY
    )
    usage = "nowhere" in options or "--mqtt" in options
    assert_clean_failure(done, *words, code=2 if usage else 1)
    assert TOKEN not in done.stderr and "hunter2" not in done.stderr


def test_the_broker_may_be_named_in_the_environment(bundle: Path, tmp_path: Path) -> None:
    variables = {**NO_DISPLAY, "TOOLKIT_MQTT": "mqtt://somebody:sec-ret@:1"}
    done = toolkit("camera", bundle, "--view", "none", *ENDLESS, cwd=tmp_path, **variables)
    assert_clean_failure(done, "mqtt", code=2)
    assert "sec-ret" not in done.stderr
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        variables["TOOLKIT_MQTT"] = f"mqtt://somebody:sec-ret@127.0.0.1:{closed.getsockname()[1]}"
        options = ("--view", "none", "--frames", 5, "--fast")
        done = toolkit("camera", bundle, *options, *ENDLESS, cwd=tmp_path, **variables)
    assert done.returncode == 0, done.stderr  # the reading does not wait for a broker
    assert "sec-ret" not in done.stderr


def test_without_tornado_it_says_what_to_install(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "without").mkdir()
    path = without_packages(tmp_path / "without", "tornado")
    with open(Path(path.partition(os.pathsep)[0]) / "sitecustomize.py", "a", encoding="utf-8") as file:
        file.write(
            "import importlib.util as util\n"
            "find = util.find_spec\n"
            "util.find_spec = lambda name, package=None: None if name == 'tornado' else find(name, package)\n"
        )
    done = toolkit("camera", bundle, "--view", "web", *FREE, *ENDLESS, cwd=tmp_path, PYTHONPATH=path)
    assert_clean_failure(done, "the page needs tornado", "pip install 'tornado>=6.5'")
    options = ("--frames", 3, "--fast", *ENDLESS)
    done = toolkit("camera", bundle, *options, cwd=tmp_path, PYTHONPATH=path, **NO_DISPLAY)
    assert done.returncode == 0, done.stderr
    assert "no page: the page needs tornado" in done.stderr
