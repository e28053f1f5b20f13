"""The way into the program: what `mail2fax` on the command line calls."""

import gc


def main() -> None:
    """Load the commands, and run one."""
    # What is being loaded is no garbage yet: looking for some took a tenth of the start. A node sets its own limit.
    gc.set_threshold(100_000, 20, 50)
    from mail2fax import cli  # noqa: PLC0415 -- after that

    cli.main()
