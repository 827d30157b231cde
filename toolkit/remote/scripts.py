"""What runs in the work folder on the other machine, in the words of the POSIX shell.

A command has a folder, `run-NAME`: `command` says what it is, `pid` is its process and its group, `out` and `err` are
what it prints, `tmp` is for its temporary files, and `code` is its exit code, which is there when it has ended. It
has a session of its own, so that a connection that breaks off leaves it alone.
"""

from __future__ import annotations

MAKE = """
umask 077
work=$(mktemp -d "${TMPDIR:-/var/tmp}/toolkit-work-XXXXXXXX") &&
: >"$work/.toolkit-work" && mkdir "$work/in" "$work/out" && echo "$work"
"""

# Only what MAKE made, and only of this user.
IS_OURS = '[ -O "$1" ] && [ ! -L "$1" ] && [ -f "$1/.toolkit-work" ]'

REMOVE = f'{IS_OURS} && rm -rf -- "$1"'

HAS = 'test -e "$1"'

RECEIVE = """
umask 077
rm -rf -- "$1" "$1.whole" && mkdir -- "$1" && tar -xof - -C "$1" && : >"$1.whole"
"""

GIVE = 'tar -cf - -C "$1" .'

# $1: the work folder, $2: the command's name, $3: its text; the rest is the command. What was begun is not begun again.
START = """
umask 077
step=$1/run-$2 text=$3
shift 3
if ! [ -e "$step/pid" ]; then
    rm -rf -- "$step" && mkdir -p -- "$step/tmp" && printf %s "$text" >"$step/command" || exit 1
    command -v setsid >/dev/null || { echo "setsid: not found" >&2; exit 1; }
    TMPDIR=$step/tmp setsid sh -c '
        cd "$0" && echo $$ >pid.new && mv pid.new pid || exit
        "$@" >out 2>err </dev/null
        echo $? >code.new && mv code.new code
    ' "$step" "$@" >/dev/null 2>&1 </dev/null &
    tries=0
    until [ -s "$step/pid" ]; do
        tries=$((tries + 1)) && [ $tries -lt 100 ] || { echo "No space left on device" >&2; exit 1; }
        sleep 0.05
    done
fi
cat "$step/command"
"""

# $1: the command's folder, $2: how many bytes of its standard error are known. It looks ever more seldom, once a second
# at last: what is measured there shall not notice. It ends with the connection, too, by its standard input.
FOLLOW = """
cd "$1" || exit 1
known=$2 pause=1
exec 3<&0
{ cat <&3; kill $$; } >/dev/null 2>&1 &
leave() { kill $!; exit $1; }
while :; do
    over=
    if [ -e code ]; then over=0; elif ! kill -0 "$(cat pid)" 2>/dev/null; then
        if [ -e code ]; then over=0; else over=3; fi
    fi
    size=$(wc -c <err 2>/dev/null || echo 0)
    if [ "$size" -gt "$known" ]; then
        tail -c "+$((known + 1))" err | head -c "$((size - known))" || leave 1
        known=$size
    fi
    [ -z "$over" ] || leave $over
    sleep "$((pause / 10)).$((pause % 10))"
    pause=$((pause < 8 ? pause + 1 : 10))
done
"""
GONE = 3  # FOLLOW's exit code where the command has ended without one

RESULT = 'cat "$1/code" "$1/out"'

# Everything that runs for a work folder; politely first, so that it removes its own temporary files.
CANCEL = """
cd "$1" || exit 0
for step in run-*; do
    [ -s "$step/pid" ] && [ ! -e "$step/code" ] || continue
    pid=$(cat "$step/pid")
    kill -s TERM -- "-$pid" 2>/dev/null
    tries=0
    while kill -s 0 -- "-$pid" 2>/dev/null && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
    kill -s KILL -- "-$pid" 2>/dev/null
done
:
"""
