"""The command `toolkit`, and `python -m toolkit`."""

import signal


def main() -> None:
    """Import the command line, and run it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing has begun: Ctrl-C ends the imports without their traceback
    from toolkit import cli

    cli.main()


if __name__ == "__main__":
    main()
