"""`toolkit` over the stand-ins of rehearsal.py. It forks before anything heavy is imported: they come after that."""

from __future__ import annotations

from toolkit import cli


def main() -> None:
    run = cli.run

    def rehearse(arguments: list[str]) -> int:
        from tests.gpu import rehearsal

        rehearsal.install()
        return run(arguments)

    cli.run = rehearse
    cli.main()


if __name__ == "__main__":
    main()
