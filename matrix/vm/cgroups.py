"""What control groups leave this process of the host's CPUs and memory (both versions).

Files and their meaning: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst,
scheduler/sched-bwc.rst. A limit of any ancestor holds too, so every level up to the mount counts.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """What the tightest group allows; None where no group limits it."""

    cpus: float | None = None
    """CPUs' worth of time."""
    memory: int | None = None
    """Bytes that may still be taken."""
    memory_limit: int | None = None
    """Bytes that may be taken in all."""


def read_limits(root: Path = Path("/")) -> Limits:
    """The limits of this process, read below ``root``; files that are absent limit nothing."""
    cpus: list[float] = []
    memory: list[int] = []
    memory_limits: list[int] = []
    for version, controllers, directory in _groups(root):
        if version == 1:
            if "cpu" in controllers:
                cpus += _cpus_v1(directory)
            if "memory" in controllers:
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                memory += _memory_left(directory, names)
                memory_limits += _numbers(directory / names[0])
        else:
            cpus += _cpus_v2(directory)
            memory += _memory_left(directory, ("memory.max", "memory.current", "inactive_file"))
            memory_limits += _numbers(directory / "memory.max")
    return Limits(
        min(cpus, default=None), min(memory, default=None), min(memory_limits, default=None)
    )


def available_memory(root: Path = Path("/"), limits: Limits | None = None) -> int:
    """Bytes that can be taken without swapping (``MemAvailable``), or the groups' limit if less."""
    available = 0
    for line in _lines(root / "proc/meminfo"):
        name, _, rest = line.partition(":")
        words = rest.split()
        if name == "MemAvailable" and words and words[0].isdigit():
            available = int(words[0]) * 1024
    limit = (limits or read_limits(root)).memory
    return available if limit is None else min(available, limit)


def oom_kills(root: Path = Path("/")) -> int:
    """How many processes the kernel has killed for want of memory in this process's group.

    Counted before the signal is sent (mm/oom_kill.c, __oom_kill_process). Where no group tells, of
    the whole host (/proc/vmstat); 0 where nothing does.
    """
    for line in _lines(_oom_file(root)):
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.isdigit():
            return int(value)
    return 0


@functools.cache
def _oom_file(root: Path) -> Path:
    """The file with the counter. The first group is our own, of which version 1 counts alone."""
    for version, controllers, directory in _groups(root):
        name = "memory.events" if version == 2 else "memory.oom_control"
        if version == 2 or "memory" in controllers:
            text = "\n".join(_lines(directory / name))
            if "oom_kill " in text:  # "oom_kill_disable" is another matter
                return directory / name
    return root / "proc/vmstat"


def _groups(root: Path) -> Iterator[tuple[int, frozenset[str], Path]]:
    """(version, controllers, directory) of each group that holds this process."""
    own = _own_groups(root)
    for line in _lines(root / "proc/self/mountinfo"):
        # 36 35 98:0 ROOT MOUNTPOINT OPTIONS [FIELDS…] - TYPE SOURCE SUPEROPTIONS (proc_pid_…(5))
        fields, _, tail = line.partition(" - ")
        words, kind = fields.split(), tail.split()
        if len(words) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        version = 2 if kind[0] == "cgroup2" else 1
        controllers = frozenset(kind[2].split(",")) if version == 1 else frozenset()
        for names, group in own:
            if (version == 2) == (not names) and (version == 2 or names & controllers):
                yield from _levels(root, words[3], words[4], group, version, controllers)


def _levels(
    root: Path, mount_root: str, mount_point: str, group: str, version: int, names: frozenset[str]
) -> Iterator[tuple[int, frozenset[str], Path]]:
    """The group's directory and its ancestors' as far as the mount shows them."""
    top = root / mount_point.lstrip("/")
    relative = group
    if mount_root != "/":
        # A container may see its own group as the mount's root, named by its path outside.
        relative = group.removeprefix(mount_root) if group.startswith(mount_root) else "/"
    directory = top / relative.lstrip("/")
    yield version, names, directory
    while directory != top and top in directory.parents:
        directory = directory.parent
        yield version, names, directory


def _own_groups(root: Path) -> list[tuple[frozenset[str], str]]:
    """(controllers, path) from /proc/self/cgroup; no controllers: the version 2 group."""
    groups = []
    for line in _lines(root / "proc/self/cgroup"):
        parts = line.split(":", 2)
        if len(parts) == 3:
            groups.append((frozenset(name for name in parts[1].split(",") if name), parts[2]))
    return groups


def _cpus_v1(directory: Path) -> list[float]:
    quota = _number(directory / "cpu.cfs_quota_us")
    period = _number(directory / "cpu.cfs_period_us")
    return [quota / period] if quota and period and quota > 0 else []


def _cpus_v2(directory: Path) -> list[float]:
    words = " ".join(_lines(directory / "cpu.max")).split()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return []  # "max": no limit
    return [int(words[0]) / max(1, int(words[1]))]


def _memory_left(directory: Path, names: tuple[str, str, str]) -> list[int]:
    """Limit less use; page cache that the kernel drops first does not count as used."""
    limit_name, usage_name, cache_name = names
    limit, usage = _number(directory / limit_name), _number(directory / usage_name)
    if limit is None or usage is None:
        return []
    cache = 0
    for line in _lines(directory / "memory.stat"):
        name, _, value = line.partition(" ")
        if name == cache_name and value.isdigit():
            cache = int(value)
    return [max(0, limit - max(0, usage - cache))]


def _numbers(path: Path) -> list[int]:
    number = _number(path)
    return [] if number is None else [number]


def _number(path: Path) -> int | None:
    """A file's only number; None where it is absent or says ``max``."""
    text = " ".join(_lines(path))
    return int(text) if text.lstrip("-").isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
