"""What a migration needs of the command lines of all its QEMUs, beyond the case's own.

This is also the one place where QEMU's sandbox is loosened. Cases run under a seccomp filter with
everything denied (:data:`matrix.plan.command.SANDBOX`); the transport ``exec`` has QEMU start a
shell, for which ``spawn=deny`` would kill it, and nothing else that a migration does is denied.
"""

from dataclasses import replace

from matrix.migrating import Fault, Migration, Strategy, Transport
from matrix.model import Launch

DENIED, ALLOWED = "spawn=deny", "spawn=allow"
UUID = "0f3c1a52-6d0e-4c2f-9d57-2c1f4f0f9a11"
"""Random: what machines are given that need one."""


def fitted(launch: Launch, migration: Migration) -> Launch:
    """The command line as hops of these pools need it."""
    if Transport.EXEC in migration.transports and any(
        not strategy.through_file for strategy in migration.strategies
    ):
        launch = _that_may_spawn(launch)
    if Strategy.CPR_TRANSFER in migration.strategies:
        # The guest's own memory is the case's; the rest must be such that it can be shared too.
        launch = _with(launch, "-machine", "aux-ram-share=on")
    if Fault.UUID_MISMATCH in migration.faults:
        # QEMU compares (``validate-uuid``) none that it was not given.
        launch = _with(launch, "-uuid", UUID)
    return launch


def _with(launch: Launch, *words: str) -> Launch:
    return replace(launch, argv=(*launch.argv, *words))


def _that_may_spawn(launch: Launch) -> Launch:
    argv = list(launch.argv)
    for index, word in enumerate(argv[:-1]):
        if word == "-sandbox":
            options = argv[index + 1].split(",")
            argv[index + 1] = ",".join(ALLOWED if each == DENIED else each for each in options)
    return replace(launch, argv=tuple(argv))
