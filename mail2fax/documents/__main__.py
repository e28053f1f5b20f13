"""`python -m mail2fax.documents`: goes where there is no network, and becomes the forkserver there."""

import signal

from mail2fax.documents.confinement import namespaces, privileges


def main() -> None:
    """Leave everything that can be left before a parser is loaded."""
    for number in (signal.SIGTERM, signal.SIGINT):  # the server drains first, then closes our standard input
        signal.signal(number, signal.SIG_IGN)
    entered = namespaces.leave()
    privileges.hide()
    if "process" in entered:
        namespaces.go_first()
    from mail2fax.documents import forkserver  # noqa: PLC0415 -- the process that only waits does without its parsers

    forkserver.run(entered)


if __name__ == "__main__":
    main()
