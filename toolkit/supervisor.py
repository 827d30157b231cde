"""A child process does the work, so that a crash in a native library becomes a message like any other.

The command forks before anything heavy is imported and before there are threads. The child is the command. The parent
waits, passes on the signals that only it received, and takes over the exit code. Where the child was ended by a signal,
by the kernel for want of memory, or by an `os._exit` in somebody's module, the parent says so, with what the child had
last written on the board (toolkit/board.py), and removes what it left: temporary files and a half-written output.

Only on Linux; elsewhere, and where there can be no second process, the command runs alone.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from toolkit import board, stopping

#: Those that run native code on what users hand over.
COMMANDS = frozenset(("build", "export", "calibrate", "compare", "summary", "classify", "camera", "bench", "verify"))
PATIENCE_S = 2.0  # a second signal to stop, so long after the first, kills
LONGEST_COMMAND = 200  # characters of it in a message
POST_MORTEM_S = 8
PR_SET_PDEATHSIG = 1
SHOW_CURSOR = "\x1b[?25h"
TEMPORARY = re.compile(r"toolkit-(\d+)-[0-9a-f]{8}")


def supervise(arguments: Sequence[str]) -> None:
    """Fork, if the command is one of `COMMANDS`. The child returns; the parent ends with it."""
    wanted = arguments[:1] and arguments[0] in COMMANDS and not {"-h", "--help"}.intersection(arguments)
    if not wanted or not sys.platform.startswith("linux"):
        return
    board.put_up()
    temporary = make_temporary()
    parent = os.getpid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whoever started this may have ignored it
    # Blocked before the fork, so that none is lost between the two: the parent takes them one by one.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, *stopping.heard()})
    try:
        child = os.fork()
    except OSError:
        child = 0
        board.take_down()
    if child:
        sys.exit(wait(child, arguments, temporary))
    if board.is_up():
        die_with(parent)
    if temporary:
        os.environ["TMPDIR"] = temporary
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave(code: int) -> None:
    """End. Threads that somebody's module left running would keep Python from that: a child does not wait for them."""
    import threading

    waiting = [thread for thread in threading.enumerate() if not thread.daemon]
    if board.is_up() and len(waiting) > 1:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def make_temporary() -> str:
    """A folder for the child's temporary files; empty where there can be none.

    It is locked as long as this process or its child lives: what is not was left by others, and is removed.
    """
    parent = os.environ.get("TMPDIR") or "/tmp"
    sweep_temporary(parent)
    name = os.path.join(parent, f"toolkit-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        os.mkdir(name, 0o700)
    except OSError:
        return ""
    lock(name)
    return os.path.abspath(name)


def sweep_temporary(parent: str) -> None:
    """Remove folders of this user that nobody holds, in a container with this folder either: a `kill -9` left them."""
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            name = TEMPORARY.fullmatch(entry.name)
            if (
                not name
                or entry.stat(follow_symlinks=False).st_uid != os.getuid()
                or os.path.exists(f"/proc/{name[1]}")
            ):
                continue
            held = lock(entry.path)
            if held is not None:
                import shutil

                shutil.rmtree(entry.path, ignore_errors=True)
                os.close(held)


def lock(folder: str) -> int | None:
    """Hold a folder until the descriptor is closed, or the process ends; None where another one has it."""
    import fcntl  # Windows has none

    descriptor = None
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if descriptor is not None:
            os.close(descriptor)
        return None
    return descriptor


def die_with(parent: int) -> None:
    """Let the kernel end this process with its parent, which a `kill -9` ends without a word."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before that
        os._exit(1)


def wait(child: int, arguments: Sequence[str], temporary: str) -> int:
    """Wait for the child, and pass on what it did not receive itself.

    Returns:
        The exit code.
    """
    first: tuple[int, float] | None = None
    while not (done := os.waitpid(child, os.WNOHANG))[0]:
        received = signal.sigwaitinfo({signal.SIGCHLD, *stopping.heard()})
        if received.si_signo == signal.SIGCHLD:
            continue
        if received.si_code <= 0:  # sent by a process to this one; a terminal's went to both
            os.kill(child, received.si_signo)
        first = first or (received.si_signo, time.monotonic())
        if time.monotonic() - first[1] > PATIENCE_S:
            os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(done[1])
    whole = code >= 0 and bool(board.get("ended"))
    tidy(child, temporary, whole)
    if whole:
        return code
    if sys.stderr.isatty():
        sys.stderr.write(SHOW_CURSOR)
    if first:
        sys.stderr.write("interrupted\n")
        return stopping.EXIT_CODES[signal.Signals(first[0])]
    tell(code, arguments)
    return 1


def tidy(child: int, temporary: str, whole: bool) -> None:
    """Remove temporary files; of a child that did not end by itself also what it had begun to write."""
    if temporary:
        try:
            os.rmdir(temporary)
        except OSError:
            import shutil

            shutil.rmtree(temporary, ignore_errors=True)
    output = board.get("output")
    if whole or not output:
        return
    from pathlib import Path

    from runtime.folder import sweep

    target = Path(output)
    with suppress(OSError):
        sweep(target)
        target.with_name(f".{target.name}.{child}.tmp").unlink(missing_ok=True)
        made = board.get("made")
        for parent in target.parents if made else ():
            parent.rmdir()
            if str(parent) == made:
                break


def tell(code: int, arguments: Sequence[str]) -> None:
    """Say what ended the child, and on what."""
    import shlex

    from runtime.camera.sources.address import hide
    from runtime.errors import ToolkitError
    from toolkit.console import print_error

    command = hide(shlex.join(["toolkit", *arguments]))
    command = command if len(command) <= LONGEST_COMMAND else f"{command[:LONGEST_COMMAND]} ..."
    about, stage, limits = board.get("about"), board.get("stage"), board.get("limits")
    where = (f" while: {stage}" if stage else "") + (f" ({about})" if about else "")
    if -code == signal.SIGALRM and limits:
        error = ToolkitError(f"{about} takes more than {limits}", "give a smaller model")
    elif code >= 0:
        error = ToolkitError(
            f"{about or command} ended the process, with exit code {code}", "give code that only makes a model"
        )
    elif -code == signal.SIGKILL:
        error = ToolkitError(
            f"{command} was ended by SIGKILL{where}", "somebody did, or the memory ran out: dmesg tells of that"
        )
    else:
        node = post_mortem(about) if limits else ""  # a file is being read
        error = ToolkitError(
            f"{command} was ended by {name_of(-code)}{where}: a native library crashed"
            + (f" on {node}" if node else ""),
            "export the model again, or try another version of the library; toolkit doctor lists them",
        )
    print_error(error)


def post_mortem(file: str) -> str:
    """The node of an ONNX file that a library crashes on; empty where that is not found out soon."""
    child = os.fork()
    if not child:
        try:
            signal.alarm(POST_MORTEM_S)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            from pathlib import Path

            from export.blame import first_crashing
            from export.limits import limit_memory, limits_of

            limit_memory(limits_of(0).memory)
            board.put("stage", "")
            board.put("stage", first_crashing(Path(file)))
        finally:
            os._exit(0)
    return board.get("stage") if os.waitpid(child, 0)[1] == 0 else ""


def name_of(number: int) -> str:
    """SIGSEGV, or what has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
