"""What an error says of the host that it happened on."""

import errno

import pytest

from matrix.errors import HostError, HostLostError, LossCause


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.ENOSPC, LossCause.DISK_FULL),
        (errno.EDQUOT, LossCause.DISK_FULL),
        (errno.ENOTDIR, LossCause.GONE),
    ],
)
def test_a_full_disk_is_told_from_other_failures(number: int, cause: LossCause) -> None:
    failure = OSError(number, "as the kernel says")
    error = HostError("cannot write x")
    error.__cause__ = failure
    assert [LossCause.of(each) for each in (failure, error)] == [cause, cause]


def test_a_host_is_only_gone_where_nothing_else_is_said() -> None:
    assert LossCause.of(HostError("cannot write x")) is LossCause.GONE
    assert HostLostError("it hung up").cause is LossCause.GONE
