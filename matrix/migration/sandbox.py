"""What QEMU's sandbox denies and migration needs: the one place where it is loosened.

Cases run under a seccomp filter with everything denied (:data:`matrix.plan.command.SANDBOX`). The
transport ``exec`` has QEMU start a shell, which ``spawn=deny`` kills it for; nothing else that a
migration does is denied.
"""

from dataclasses import replace

from matrix.migrating import Migration, Transport
from matrix.model import Launch

DENIED, ALLOWED = "spawn=deny", "spawn=allow"


def needs_processes(migration: Migration) -> bool:
    """Whether a hop of these pools may have QEMU start a process."""
    streams = any(not strategy.through_file for strategy in migration.strategies)
    return streams and Transport.EXEC in migration.transports


def loosened(launch: Launch) -> Launch:
    """The command line with a sandbox that lets QEMU start processes."""
    argv = list(launch.argv)
    for index, word in enumerate(argv[:-1]):
        if word == "-sandbox":
            options = argv[index + 1].split(",")
            argv[index + 1] = ",".join(ALLOWED if each == DENIED else each for each in options)
    return replace(launch, argv=tuple(argv))
