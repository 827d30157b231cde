"""From what the user wrote to a source."""

from __future__ import annotations

import glob
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import cv2

from runtime.camera.frame import Source
from runtime.camera.opencv import parse_build
from runtime.camera.sources.address import NETWORK, check_url, csi_pipeline, hide, scrub
from runtime.camera.sources.devices import check_camera, explain, is_device
from runtime.camera.sources.live import LiveSource
from runtime.camera.sources.pictures import PictureSource
from runtime.camera.sources.request import CAMERA, FFMPEG, GSTREAMER, Request
from runtime.camera.sources.video import VideoSource
from runtime.errors import SourceError
from runtime.images import SUFFIXES, find_images
from runtime.lfs import refuse_pointer
from runtime.text import plain

UNDERSTOOD = (
    "give 0 or /dev/video0 (a camera), csi://0 (a Jetson's), rtsp:// http:// udp:// tcp:// (a stream), "
    "a GStreamer pipeline, a video file, a folder or pattern of images, or synthetic://"
)
SNIFFED = 1024  # bytes of a file that tell text from video


def open_source(
    text: str,
    *,
    fast: bool = False,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    timeout_s: float = 5.0,
    wait: bool = True,
) -> Source:
    """A source of frames. It is opened by its first `read`: what can be found wrong before that is said here.

    Args:
        text: as in `UNDERSTOOD`.
        fast: a file or a synthetic source comes as fast as it is read; else at its own pace.
        size: width and height to ask a camera for; the nearest that it has is taken.
        fps: frames per second to ask a camera for; of images, how many come in a second.
        timeout_s: how long a frame may take before a camera or a stream counts as lost, and a file as broken.
        wait: False makes an error of a network stream that is not there; else it is tried again and again.

    Raises:
        SourceError: it is not understood, or not there, or is something else.
    """
    text = text.strip()
    if not text:
        raise SourceError("an empty word is no source", UNDERSTOOD)
    asked = [name for name, value in (("size", size), ("fps", fps)) if value]
    if " ! " in text and not os.path.exists(text):
        refuse(text, asked, "what its pipeline makes")
        return open_pipeline(text, hide(text), timeout_s, wait)
    if text.isdecimal() or is_device(text):
        return open_camera(text, size, fps, timeout_s, wait)
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    text = scheme + text[len(scheme) :]
    if scheme == "synthetic":
        from runtime.camera.synthetic.source import open_synthetic

        source: Source = open_synthetic(with_options(text, size, fps), fast=fast)
        return source
    if scheme == "csi":
        return open_pipeline(csi_pipeline(text, size, fps), text, timeout_s, wait)
    if scheme in NETWORK:
        refuse(text, asked, "what the stream has")
        check_url(text)
        request = Request(FFMPEG, text, live=True)
        return LiveSource(request, hide(text), timeout_s=timeout_s, wait=wait)
    if scheme:
        raise SourceError(f"{hide(text)}: {scheme}:// is not understood", UNDERSTOOD)
    return open_files(text, fast, asked, fps, timeout_s)


def open_camera(text: str, size: tuple[int, int] | None, fps: float | None, timeout_s: float, wait: bool) -> Source:
    """A local camera, by its number or its device."""
    device = text
    if sys.platform == "linux":
        device = f"/dev/video{int(text)}" if text.isdecimal() else text
        check_camera(device)
    request = Request(CAMERA, device, live=True, size=size, fps=fps)
    return LiveSource(request, text, timeout_s=timeout_s, wait=wait, explain=lambda reason: explain(device, reason))


def open_pipeline(pipeline: str, name: str, timeout_s: float, wait: bool) -> Source:
    """A GStreamer pipeline that ends in an appsink.

    Raises:
        SourceError: OpenCV has no GStreamer here, or the pipeline gives nothing to it.
    """
    if not parse_build(cv2.getBuildInformation()).gstreamer:
        raise SourceError(
            f"{name} needs GStreamer, which this OpenCV {cv2.__version__} was built without",
            "on a Jetson use JetPack's own OpenCV: make the environment with `python3 -m venv --system-site-packages`, "
            "and `pip uninstall opencv-python` in it",
        )
    if "appsink" not in pipeline:
        raise SourceError(f"{name} has no appsink", "end it with `! videoconvert ! video/x-raw, format=BGR ! appsink`")

    def failed(reason: str) -> SourceError:
        return SourceError(
            f"{name} does not start: {scrub(reason, pipeline)}",
            "try it with gst-launch-1.0; a CSI camera may need `sudo systemctl restart nvargus-daemon`",
        )

    request = Request(GSTREAMER, pipeline, live=True)
    return LiveSource(request, name, timeout_s=timeout_s, wait=wait, explain=failed)


def open_files(text: str, fast: bool, asked: list[str], fps: float | None, timeout_s: float) -> Source:
    """A video, a picture, a folder or a pattern of pictures.

    Raises:
        SourceError: there is nothing, or nothing of that kind.
    """
    path = Path(text)
    if path.is_dir():
        images = find_images(path)
        if not images:
            raise SourceError(f"there are no images in {hide(text)}", "give a folder that holds some, or a video file")
        return open_pictures(text, images, asked, fps)
    if glob.has_magic(text) and not os.path.lexists(text):
        like = [Path(name) for name in glob.glob(text, recursive=True)]
        images = [name for name in like if name.suffix.lower() in SUFFIXES and name.is_file()]
        if not images:
            what = "no image" if like else "nothing"
            raise SourceError(f"there is {what} like {text}", "look at the pattern, and where it starts")
        return open_pictures(text, images, asked, fps)
    check_file(text)
    if path.suffix.lower() in SUFFIXES:
        return open_pictures(text, [path], asked, fps)
    refuse(text, asked, "what the file has")
    if plain(text) != text:
        raise SourceError(f"{plain(text)} cannot be opened: OpenCV takes no name that is not UTF-8", "rename the file")
    return VideoSource(text, fast=fast, timeout_s=timeout_s)


def open_pictures(text: str, images: list[Path], asked: list[str], fps: float | None) -> Source:
    """Pictures, so many in a second.

    Raises:
        SourceError: a size was asked for.
    """
    refuse(text, [name for name in asked if name == "size"], "the sizes of its pictures")
    return PictureSource(text, images, fps=fps)


def check_file(text: str) -> None:
    """Refuse what is no video before a decoder makes something of it: FFMPEG plays text, as a terminal would.

    Raises:
        SourceError: no such file, not to be read, empty, or text.
    """
    try:
        if not os.path.isfile(text):
            what = "is no file" if os.path.lexists(text) else "does not exist"
            raise SourceError(f"{hide(text)} {what}", UNDERSTOOD)
        with open(text, "rb") as file:
            start = file.read(SNIFFED)
    except (OSError, ValueError) as error:
        raise SourceError(f"{hide(text)!r} cannot be read: {error}", "give a file that you may read") from None
    if not start:
        raise SourceError(f"{text} is empty (0 bytes)", "it may have been cut off while it was copied: copy it again")
    refuse_pointer(start, text, SourceError)
    if not any(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in start):
        try:
            start.decode("utf-8")
        except UnicodeDecodeError as error:
            if error.start < len(start) - 3:  # a character may be cut in two at the end
                return
        raise SourceError(f"{text} is a text file, not a video", UNDERSTOOD)


def refuse(text: str, asked: list[str], what: str) -> None:
    """Of a source that cannot be asked for a size or a rate.

    Raises:
        SourceError: something was asked for.
    """
    if asked:
        raise SourceError(f"{hide(text)} cannot be given a {asked[0]}: it has {what}", f"leave the {asked[0]} out")


def with_options(url: str, size: tuple[int, int] | None, fps: float | None) -> str:
    """A synthetic source's address, with what was asked for beside it and is not in it."""
    options = urlsplit(url).query
    if size and "size=" not in options:
        options += f"&size={size[0]}x{size[1]}"
    if fps and "fps=" not in options:
        options += f"&fps={fps:g}"
    base = url.partition("?")[0]
    return f"{base}?{options.lstrip('&')}" if options else base
