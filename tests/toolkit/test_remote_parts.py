"""What `--on` is made of, without a connection."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from runtime.errors import RemoteError
from runtime.spec import BatchRange
from toolkit.options import batch_option
from toolkit.remote.address import Address, parse_address
from toolkit.remote.archive import files_below, pack, unpack
from toolkit.remote.log import Log
from toolkit.remote.options import forwarded, remote_options
from toolkit.remote.trouble import failed_there, no_connection


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ssh://jetson", Address("jetson")),
        ("ssh://me@jetson.local:2222", Address("jetson.local", "me", 2222)),
        ("ssh://me@[fe80::1%eth0]:22/", Address("fe80::1%eth0", "me", 22)),
        ("ssh://10.0.0.7", Address("10.0.0.7")),
    ],
)
def test_an_address(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address
    assert address.arguments[-2:] == ["--", address.host]


@pytest.mark.parametrize(
    "text",
    [
        "jetson",
        "ssh://",
        "ssh://-oProxyCommand=touch pwned",
        "ssh://-l@jetson",
        "ssh://me@-jetson",
        "ssh://jetson/folder",
        "ssh://jetson:0",
        "ssh://jetson:65536",
        "ssh://jet son",
        "ssh://jetson;touch",
        "ssh://jetson\n",
        "ssh://me:secret@jetson",
        "http://jetson",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is not ssh://"):
        parse_address(text)


def test_a_folder_there_and_back(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "sub").mkdir(parents=True)
    target.mkdir()
    contents = {"-rf": b"one", "sub/a b\n'$": b"", "sub/\udcff": bytes(3_000_000)}
    for name, content in contents.items():
        (source / name).write_bytes(content)
    (source / "sub" / "round").symlink_to(source)  # leads nowhere new
    stream, told = io.BytesIO(), []
    pack(source, files_below(source), stream, told.append)
    assert sum(told) == len(stream.getvalue())
    stream.seek(0)
    unpack(stream, target, told.append)
    assert {name: (target / name).read_bytes() for name in files_below(target)} == contents


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, size
    return made


@pytest.mark.parametrize(
    ("entries", "word"),
    [
        ([entry("../out")], "outside"),
        ([entry("a/../../out")], "outside"),
        ([entry("/out")], "outside"),
        ([entry("link", tarfile.SYMTYPE, "/etc")], "not a plain file"),
        ([entry("link", tarfile.SYMTYPE, ".."), entry("link/out")], "not a plain file"),
        ([entry("hard", tarfile.LNKTYPE, "/etc/passwd")], "not a plain file"),
        ([entry("pipe", tarfile.FIFOTYPE)], "not a plain file"),
        ([entry("device", tarfile.CHRTYPE)], "not a plain file"),
        ([entry("twice"), entry("twice")], "no whole archive"),
        ([entry("large", size=2_000)], "more than"),
    ],
)
def test_what_leaves_its_folder_is_refused(tmp_path: Path, entries: list[tarfile.TarInfo], word: str) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for one in entries:
            tar.addfile(one, io.BytesIO(bytes(one.size)))
    stream.seek(0)
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(RemoteError, match=word):
        unpack(stream, target, lambda _: None, most=1_000)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert not any(path.is_symlink() for path in target.iterdir())


@pytest.mark.parametrize("spoil", [lambda data: data[:700], lambda data: b"no tar at all" * 99])
def test_what_is_no_archive_is_refused(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(entry("file", size=999), io.BytesIO(bytes(999)))
    with pytest.raises(RemoteError, match="no whole archive"):
        unpack(io.BytesIO(spoil(stream.getvalue())), tmp_path, lambda _: None)


def test_what_another_machine_says_has_our_names_and_no_terminal_codes(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log("jetson", {"/w/in/bundle1": "one", "/w/in/bundle10": "ten"})
    for part in (b"reading /w/in/bun", b"dle10 and /w/in/bundle1\n\x1b[2Jclear", b"\xff"):
        log.add(part)
    log.finish()
    assert capsys.readouterr().err == "jetson: reading ten and one\njetson: \\x1b[2Jclear\ufffd\n"
    assert log.known == len(b"reading /w/in/bundle10 and /w/in/bundle1\n\x1b[2Jclear\xff")


def test_options_are_forwarded_as_they_were_given() -> None:
    words: list[str] = []

    @click.command()
    @click.option("--many", multiple=True)
    @click.option("--yes/--no", default=True)
    @click.option("--flag", is_flag=True)
    @click.option("--left", default=3)
    @click.option("--file")
    @click.option("-o", "--output")
    @batch_option
    @remote_options
    def command(remote: object, **_: object) -> None:
        words.extend(forwarded(click.get_current_context(), ["file"]))
        assert remote is not None

    given = ["--many", "-a", "--many", "b c", "--no", "--flag", "--file", "f", "-o", "x", "--batch", "1:2:4"]
    done = CliRunner().invoke(command, [*given, "--on", "ssh://jetson"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert words == ["--many=-a", "--many=b c", "--no", "--flag", "--batch=1:2:4"]
    assert str(BatchRange(1, 2, 4)) not in words


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--remote-resume", "/var/tmp/toolkit-x"], "goes with --on"),
        (["--on", "ssh://jetson", "--remote-resume", "toolkit-x"], "the whole path"),
        (["--on", "ssh://jetson", "--remote-toolkit", "-rf"], "not a path"),
        (["--on", "ssh://-oProxyCommand=x"], "is not ssh://"),
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], word: str) -> None:
    @click.command()
    @remote_options
    def command(remote: object) -> None:
        raise AssertionError

    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2
    assert word in done.output


def test_every_trouble_has_a_remedy() -> None:
    address = Address("jetson", "me", 2222)
    error = no_connection(address, "@@@\nREMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key verification failed.\n")
    assert "ssh-keygen -R '[jetson]:2222'" in error.hint
    assert "ssh-copy-id -p 2222 me@jetson" in no_connection(address, "me@jetson: Permission denied (publickey).").hint
    assert "strange words" in no_connection(address, "\nstrange words\n\n").message
    error = failed_there(
        address, "write x", "tar: a: Cannot write: No space left on device\ntar: Exiting", "/var/tmp/x"
    )
    assert (error.message, "/var/tmp/x" in error.hint) == (
        "cannot write x on ssh://me@jetson:2222: no space is left there",
        True,
    )
    assert "other" in failed_there(address, "write x", "other\n").message
