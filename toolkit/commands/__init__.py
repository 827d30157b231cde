"""One file per command, each with its click command as `command`; `toolkit.cli` holds the table."""
