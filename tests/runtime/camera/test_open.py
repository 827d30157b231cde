"""What users write as a source, right and wrong; and what is secret in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.camera.opencv import parse_build
from runtime.camera.sources.address import check_url, csi_pipeline, hide, scrub
from runtime.camera.sources.devices import explain, find_cameras, holders
from runtime.camera.sources.live import LiveSource
from runtime.camera.sources.open import open_source, with_options
from runtime.errors import SourceError
from tests.command import environment

GSTREAMER = parse_build(cv2.getBuildInformation()).gstreamer


def refused(text: str, *words: str, **options: object) -> SourceError:
    with pytest.raises(SourceError) as caught:
        open_source(text, **options)  # type: ignore[arg-type]
    assert caught.value.hint
    for word in words:
        assert word in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:secret@10.0.0.2:554/live", "rtsp://user:***@10.0.0.2:554/live"),
        ("rtsp://user:se@cret@10.0.0.2/live", "rtsp://user:***@10.0.0.2/live"),
        ("rtsp://:secret@10.0.0.2/live", "rtsp://:***@10.0.0.2/live"),
        ("rtsp://me@here.org:secret@10.0.0.2/live", "rtsp://me@here.org:***@10.0.0.2/live"),
        ("rtsp://my name:secret@10.0.0.2/live", "rtsp://my name:***@10.0.0.2/live"),
        ("rtsp://user@10.0.0.2/live", "rtsp://user@10.0.0.2/live"),
        ("http://10.0.0.2/video?user=me&pwd=secret&size=1", "http://10.0.0.2/video?user=me&pwd=***&size=1"),
        ("http://10.0.0.2/video?loginPas=secret", "http://10.0.0.2/video?loginPas=***"),
        ("http://10.0.0.2/a:b/@c", "http://10.0.0.2/a:b/@c"),
        ("rtspsrc location=rtsp://a:secret@b/ user-pw=secret ! x", "rtspsrc location=rtsp://a:***@b/ user-pw=*** ! x"),
        ('rtspsrc user-pw="secret one" ! x', "rtspsrc user-pw=*** ! x"),
    ],
)
def test_what_is_secret_is_hidden(text: str, shown: str) -> None:
    assert hide(text) == shown


def test_a_library_that_repeats_a_password_is_not_believed() -> None:
    url = "http://me:ge%20heim@camera/?token=abc"
    assert scrub("401 for me:ge heim or ge%20heim with abc", url) == "401 for me:*** or *** with ***"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ftp://host/video", "ftp:// is not understood"),
        ("rtsp:///live", "names no host"),
        ("http://host:port/", "is no URL"),
        ("rtsp://user:geheim@host:99999/", "is no URL"),
        (" ", "no source"),
        ("no\0file", "does not exist"),
    ],
)
def test_what_is_not_understood_is_said(text: str, word: str) -> None:
    error = refused(text, word)
    assert "geheim" not in str(error)


def test_a_video_whose_name_opencv_does_not_take_is_said(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4")
    Path(path).write_bytes(b"\0\0\0\x18ftypmp42")
    with pytest.raises(SourceError, match=r"/\?\.mp4 cannot be opened.*UTF-8"):
        open_source(path)


def test_what_is_there_is_no_pipeline_whatever_it_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "this ! that"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.zeros((20, 20), np.uint8))
    with closing(open_source(str(folder))) as source:
        assert "1 pictures" in source.status
    refused("x" * 300 + " ! appsink", "pipeline" if GSTREAMER else "GStreamer")


def test_the_parts_of_a_csi_address_go_into_the_pipeline() -> None:
    plain = csi_pipeline("csi://0", None, None)
    assert plain.startswith("nvarguscamerasrc sensor-id=0 ! ")
    assert "width=1280, height=720" in plain and "framerate=30/1" in plain and "flip-method=0" in plain
    assert plain.endswith("appsink drop=true max-buffers=1 sync=false")
    asked = csi_pipeline("csi://1?size=640x480&fps=29.97&flip=2", (1, 1), 60)
    assert "sensor-id=1" in asked and "width=640, height=480" in asked
    assert "framerate=2997/100" in asked and "flip-method=2" in asked
    assert "width=1920, height=1080" in csi_pipeline("csi://", (1920, 1080), 60)


@pytest.mark.parametrize(
    "text", ["csi://x", "csi://0/1", "csi://0?size=big", "csi://0?fps=0", "csi://0?flip=8", "csi://0?zoom=2"]
)
def test_a_csi_address_that_is_wrong_is_said(text: str) -> None:
    refused(text, text, "is not understood", "csi://0?size=1280x720")


@pytest.mark.skipif(GSTREAMER, reason="this OpenCV has GStreamer")
@pytest.mark.parametrize("text", ["csi://0", "videotestsrc ! videoconvert ! appsink"])
def test_without_gstreamer_the_way_to_have_it_is_said(text: str) -> None:
    refused(text, text, "GStreamer", "--system-site-packages")


@pytest.mark.skipif(not GSTREAMER, reason="needs an OpenCV with GStreamer")
def test_a_gstreamer_pipeline() -> None:
    source = open_source("videotestsrc ! video/x-raw,width=160,height=120 ! videoconvert ! appsink")
    try:
        frame = source.read(30)
        assert frame and frame.image.shape == (120, 160, 3)
    finally:
        source.close()
    with pytest.raises(SourceError, match="does not start"):
        open_source("nosuchelement ! appsink").read(30)


@pytest.mark.skipif(sys.platform != "linux", reason="devices of Linux")
def test_a_camera_that_is_not_there_is_said_with_those_that_are() -> None:
    error = refused("/dev/video99", "there is no camera /dev/video99")
    assert "synthetic://" in error.hint or "/dev/video" in error.hint
    refused("99", "there is no camera /dev/video99")
    refused("/dev/v4l/by-id/nothing", "there is no camera")
    refused("/dev/null", "/dev/null is no camera")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_who_has_a_camera_is_said(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.touch()
    code = "import sys; file = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
    other = subprocess.Popen([sys.executable, "-c", code, str(device)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdin and other.stdout
    try:
        other.stdout.readline()
        (found,) = holders(str(device))
        assert found.endswith(f"(process {other.pid})")
        error = explain(str(device), "busy")
        assert f"is in use by {found}" in error.message and error.hint
    finally:
        other.communicate()
    assert holders(str(device)) == []
    assert "gives no pictures: busy" in explain(str(device), "busy").message


def test_cameras_are_listed() -> None:
    assert all(camera.startswith("/dev/video") for camera in find_cameras())


@pytest.mark.skipif(not Path("/dev/video0").exists(), reason="needs a camera")
def test_a_real_camera() -> None:
    source = open_source("0", size=(640, 480))
    try:
        frame = source.read(30)
        assert frame and frame.image.ndim == 3 and source.status
    finally:
        source.close()


def test_a_network_stream_is_not_opened_before_it_is_read() -> None:
    source = open_source("rtsp://user:geheim@127.0.0.1:1/live")
    assert isinstance(source, LiveSource) and source.process is None
    assert source.name == "rtsp://user:***@127.0.0.1:1/live" and source.status == ""
    source.close()
    assert open_source("RTSP://127.0.0.1/live").name == "rtsp://127.0.0.1/live"
    refused("rtsp://127.0.0.1:1/live", "cannot be given a fps", fps=30)


def test_what_is_asked_for_beside_a_synthetic_source_goes_into_its_address() -> None:
    assert with_options("synthetic://desk", (640, 480), 30) == "synthetic://desk?size=640x480&fps=30"
    assert with_options("synthetic://desk?seed=3&size=32x32", (640, 480), None) == "synthetic://desk?seed=3&size=32x32"
    assert with_options("synthetic://", None, None) == "synthetic://"


AS_NOBODY = """
import os, sys
from runtime.camera.sources.open import open_source
from runtime.errors import SourceError
os.setgroups([]), os.setgid(65534), os.setuid(65534)
try:
    open_source(sys.argv[1])
except SourceError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="only root may make a device")
def test_a_device_without_a_driver_and_one_without_permission_are_said() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        os.chmod(folder, 0o755)
        node = Path(folder) / "video0"
        try:
            os.mknod(node, 0o20600, os.makedev(81, 250))
        except PermissionError:
            pytest.skip("even root may not make a device here")
        with pytest.raises(SourceError, match="gives no pictures"):
            open_source(str(node)).read(60)
        command = [sys.executable, "-c", AS_NOBODY, str(node)]
        said = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout
        assert f"you may not use {node}: permission denied" in said and "sudo usermod -aG video $USER" in said


@pytest.mark.parametrize(
    "address", ["rtsp://me:zq7/xw9@host/s", "rtsp://me:12/34@host/s", "rtsp:/me:secret@host", "rtsp://me:zq7#xw9@host"]
)
def test_a_password_with_signs_of_a_url_in_it_is_not_shown(address: str) -> None:
    password = address.split("me:")[1].split("@")[0]
    assert password not in hide(address)
    try:
        check_url(address)
    except SourceError as error:
        assert not any(part in str(error) for part in re.split("[/#]", password))
