"""Control group limits over made-up trees of both versions."""

from pathlib import Path

import pytest

from matrix.vm.cgroups import Limits, oom_kills, read_limits

MIB = 2**20
V2_MOUNT = "35 25 0:30 {root} /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_nothing_there(tmp_path: Path) -> None:
    assert read_limits(tmp_path) == Limits()


def test_version_2_takes_the_tightest_level(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/self/mountinfo": V2_MOUNT.format(root="/"),
            "proc/self/cgroup": "0::/user.slice/job\n",
            "sys/fs/cgroup/user.slice/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/user.slice/memory.max": f"{800 * MIB}\n",
            "sys/fs/cgroup/user.slice/memory.current": f"{500 * MIB}\n",
            "sys/fs/cgroup/user.slice/memory.stat": f"anon 1\ninactive_file {100 * MIB}\n",
            "sys/fs/cgroup/user.slice/job/cpu.max": "max 100000\n",
            "sys/fs/cgroup/user.slice/job/memory.max": "max\n",
            "sys/fs/cgroup/user.slice/job/memory.current": "5\n",
        },
    )
    assert read_limits(tmp_path) == Limits(cpus=1.5, memory=400 * MIB, memory_limit=800 * MIB)


def test_version_2_in_a_container_whose_mount_shows_its_own_group(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/self/mountinfo": V2_MOUNT.format(root="/docker/0123"),
            "proc/self/cgroup": "0::/docker/0123\n",
            "sys/fs/cgroup/cpu.max": "400000 100000\n",
        },
    )
    assert read_limits(tmp_path) == Limits(cpus=4.0)


def test_version_1_reads_each_controller_where_it_is_mounted(tmp_path: Path) -> None:
    mount = "{n} 25 0:30 / /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{name}\n"
    write(
        tmp_path,
        {
            "proc/self/mountinfo": mount.format(n=30, name="memory")
            + mount.format(n=31, name="cpu")
            + "32 25 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
            "proc/self/cgroup": "4:memory:/job\n2:cpu:/\n0::/\n",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{300 * MIB}",
            "sys/fs/cgroup/memory/job/memory.usage_in_bytes": f"{100 * MIB}",
            "sys/fs/cgroup/memory/job/memory.stat": "total_inactive_file 0\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "0",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    )
    assert read_limits(tmp_path) == Limits(cpus=None, memory=200 * MIB, memory_limit=300 * MIB)


def test_a_group_over_its_limit_leaves_nothing(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/self/mountinfo": V2_MOUNT.format(root="/"),
            "proc/self/cgroup": "0::/job\n",
            "sys/fs/cgroup/job/memory.max": "100",
            "sys/fs/cgroup/job/memory.current": "200",
        },
    )
    assert read_limits(tmp_path) == Limits(memory=0, memory_limit=100)


def test_garbage_limits_nothing(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/self/mountinfo": "\n - \n1 2 3\n" + V2_MOUNT.format(root="/"),
            "proc/self/cgroup": "no colons\n0::/job\n",
            "sys/fs/cgroup/job/cpu.max": "many 0",
            "sys/fs/cgroup/job/memory.max": "lots",
            "sys/fs/cgroup/job/memory.current": "few",
        },
    )
    assert read_limits(tmp_path) == Limits()


V1_MEMORY = "30 25 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"


@pytest.mark.parametrize(
    ("mount", "group", "file", "text"),
    [
        (V2_MOUNT.format(root="/"), "0::/job", "job/memory.events", "oom 9\noom_kill 3\n"),
        (
            V1_MEMORY,
            "4:memory:/job",
            "memory/job/memory.oom_control",
            "oom_kill_disable 0\noom_kill 3\n",
        ),
    ],
)
def test_how_many_the_oom_killer_killed(
    tmp_path: Path, mount: str, group: str, file: str, text: str
) -> None:
    write(
        tmp_path,
        {
            "proc/self/mountinfo": mount,
            "proc/self/cgroup": f"{group}\n",
            "proc/vmstat": "nr_free_pages 5\noom_kill 40\n",
            f"sys/fs/cgroup/{file}": text,
        },
    )
    assert oom_kills(tmp_path) == 3


def test_without_a_group_the_whole_host_tells(tmp_path: Path) -> None:
    assert oom_kills(tmp_path / "nothing") == 0
    write(tmp_path, {"proc/vmstat": "nr_free_pages 5\noom_kill 40\n"})
    assert oom_kills(tmp_path) == 40
