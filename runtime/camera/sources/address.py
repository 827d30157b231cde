"""Addresses of sources: taken apart, and shown without what is secret in them."""

from __future__ import annotations

import re
from fractions import Fraction
from urllib.parse import parse_qsl, unquote, urlsplit

from runtime.errors import SourceError

NETWORK = ("rtsp", "rtsps", "http", "https", "udp", "tcp", "rtp", "rtmp", "srt")
HIDDEN = "***"
#: `://user:password@`; the password may hold what should have been %40, %2F and the like, and a / may be missing.
USERINFO = re.compile(r"(:/+[^/:]*):(.*)@")
#: `?pwd=...` of a URL, `user-pw=...` of a GStreamer pipeline.
SECRET = re.compile(r"(?i)([\w-]*(?:pas\w*|pwd|pw|secret|token|api_?key|auth))=(\"[^\"]*\"|[^&\s!\"']+)")
CSI_EXAMPLE = "csi://0?size=1280x720&fps=30&flip=2"
CSI_SIZE, CSI_FPS = (1280, 720), 30.0
URL_HINT = "write it like rtsp://user:password@host:554/path"


def hide(text: str) -> str:
    """An address or a pipeline, fit to be shown."""
    return SECRET.sub(rf"\1={HIDDEN}", USERINFO.sub(rf"\1:{HIDDEN}@", text))


def secrets_of(text: str) -> list[str]:
    """What must not appear in what libraries say of an address, as it is written there and as it is meant."""
    found = [match[2].strip('"') for match in SECRET.finditer(text)]
    if match := USERINFO.search(text):
        found += [match[2], *re.split("[/?#]", match[2])]  # a library may name but a part, as a port
    return sorted({form for secret in found for form in (secret, unquote(secret)) if form}, key=len, reverse=True)


def scrub(words: str, address: str) -> str:
    """What a library said, without what is secret in the address that it was given."""
    for secret in secrets_of(address):
        words = words.replace(secret, HIDDEN)
    return hide(words)


def check_url(text: str) -> None:
    """Refuse a URL of a network that cannot be one.

    Raises:
        SourceError: no host, or a port that is no number.
    """
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise SourceError(f"{hide(text)} is no URL: {scrub(str(error), text)}", URL_HINT) from None
    if not host and parts.scheme not in ("udp", "tcp", "rtp"):  # those may listen: udp://:5000
        raise SourceError(f"{hide(text)} names no host", URL_HINT)


def parse_size(text: str) -> tuple[int, int] | None:
    """`640x480`; None for anything else."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower())
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    return size if min(size) > 0 else None


def parse_fps(text: str) -> float | None:
    """Frames per second; None for what is none."""
    try:
        fps = float(text)
    except ValueError:
        return None
    return fps if 0 < fps <= 1000 else None


def csi_pipeline(text: str, size: tuple[int, int] | None, fps: float | None) -> str:
    """The GStreamer pipeline of a Jetson's camera, from its address; what that says goes before `size` and `fps`.

    Raises:
        SourceError: a part of the address is not understood.
    """
    parts = urlsplit(text)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    sensor, flip = parts.netloc or "0", options.pop("flip", "0")
    said_size, said_fps = options.pop("size", None), options.pop("fps", None)
    width, height = (parse_size(said_size) if said_size is not None else size or CSI_SIZE) or (0, 0)
    rate = (parse_fps(said_fps) if said_fps is not None else fps or CSI_FPS) or 0.0
    wrong = {
        f"camera {sensor}": not sensor.isdecimal(),
        f"path {parts.path}": bool(parts.path.strip("/")),
        f"size={said_size}": not width,
        f"fps={said_fps}": not rate,
        f"flip={flip}": not re.fullmatch("[0-7]", flip),
        **{f"{key}={value}": True for key, value in options.items()},
    }
    for what, it_is in wrong.items():
        if it_is:
            raise SourceError(f"{text}: {what} is not understood", f"write it like {CSI_EXAMPLE}; flip is 0 to 7")
    frames = Fraction(rate).limit_denominator(1001)
    # nvvidconv takes the picture out of the GPU's memory; only videoconvert makes BGR of it. appsink keeps the newest.
    return (
        f"nvarguscamerasrc sensor-id={int(sensor)} ! video/x-raw(memory:NVMM), width={width}, height={height}, "
        f"format=NV12, framerate={frames.numerator}/{frames.denominator} ! nvvidconv flip-method={flip} ! "
        "video/x-raw, format=BGRx ! videoconvert ! video/x-raw, format=BGR ! "
        "appsink drop=true max-buffers=1 sync=false"
    )
