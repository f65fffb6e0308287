"""What a hop between two hosts costs beside QEMU's own time, by the link's round trip.

    python -m benchmarks.far_hops [HOPS [RTT…]]      # as root; round trips in ms

With 200 ms a hop takes some ten seconds, as TCP needs round trips until it is fast, and the table
of ten hops ten minutes; what ends meanwhile is on stderr.

Two workers, each in a network namespace, and the orchestrator are joined by a router of ours: it
passes packets on after half of a round trip, whichever of the three they come from and go to. So a
kernel without ``sch_netem`` will do. What is told is the median of the hops' times before
``migrate``, when both sides are set up and the guest runs on its source, and after it beside what
QEMU calls ``total-time``; their sum is to be at most 100 ms and four round trips.
"""

import contextlib
import fcntl
import os
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from matrix.hosts.fleet.founding import found_fleet
from matrix.migrating import Hop
from matrix.migration.folding import HOPS_FILE
from matrix.migration.hop_records import read_hops
from matrix.places import own_command

ROUND_TRIPS = (0.0, 0.002, 0.010)
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
"""From linux/if_tun.h."""
MTU = 60_000
"""Bytes: a router in Python forwards some ten thousand packets per second."""
BOUND, TRIPS = 0.1, 4
SCENARIO = """
name: far
suite: {{kind: kvm-unit-tests, build: builtin, tests: [ram-integrity]}}
matrix:
  arch: [x86_64]
  accel: [tcg]
  cpu: [qemu64]
  strategy: [precopy, postcopy]
  transport: [tcp, tcp+tls-x509]
migration: {{hops: {hops}, pace: 300ms, destination: {{host: other}}}}
run: {{timeout: 300s}}
"""


@dataclass
class Router:
    """A device for each place, and what is on its way."""

    delay: float
    """Seconds, one way."""
    devices: dict[bytes, int] = field(default_factory=dict)
    """Descriptors by IPv4 address."""
    underway: "deque[tuple[float, int, bytes]]" = field(default_factory=deque)
    ends: threading.Event = field(default_factory=threading.Event)

    def add(self, name: str, address: str, namespace: str = "") -> None:
        """Make a device with that address, in a network namespace."""
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.devices[socket.inet_aton(address)] = descriptor
        flags = IFF_TUN | IFF_NO_PI
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH", name.encode(), flags))
        inside = ("-n", namespace) if namespace else ()
        if namespace:
            ip("link", "set", name, "netns", namespace)
        ip(*inside, "addr", "add", f"{address}/24", "dev", name)
        ip(*inside, "link", "set", name, "mtu", str(MTU), "up")

    def work(self) -> None:
        """Route until the end is asked for."""
        while not self.ends.is_set():
            wait = 0.05
            if self.underway:
                wait = min(wait, max(0.0, self.underway[0][0] - time.monotonic()))
            ready, _, _ = select.select([*self.devices.values()], (), (), wait)
            for descriptor in ready:
                self._take(descriptor)
            now = time.monotonic()
            while self.underway and self.underway[0][0] <= now:
                _, target, packet = self.underway.popleft()
                with contextlib.suppress(BlockingIOError):  # a full queue drops, as anywhere
                    os.write(target, packet)

    def _take(self, descriptor: int) -> None:
        with contextlib.suppress(BlockingIOError):  # that was all
            while True:
                packet = os.read(descriptor, 1 << 16)
                target = self.devices.get(packet[16:20])
                if packet[0] >> 4 == 4 and target is not None:
                    self.underway.append((time.monotonic() + self.delay, target, packet))

    def close(self) -> None:
        """The devices are gone with their descriptors."""
        for descriptor in self.devices.values():
            os.close(descriptor)


def ip(*words: str) -> None:
    """ip(8)."""
    subprocess.run(("ip", *words), check=True)


@contextlib.contextmanager
def lab(folder: Path, delay: float) -> Iterator[Path]:
    """Two hosts and a router; gives the fleet file of both."""
    path, router, workers = folder / "lab/fleet.yaml", Router(delay), []
    routing = threading.Thread(target=router.work)
    hosts = {"z1": "10.231.7.1", "z2": "10.231.7.2"}
    found_fleet(path.parent, hosts, "10.231.7.3")
    path.write_text(path.read_text() + "lease: {ttl: 60s, margin: 2s}\n")
    try:
        router.add(f"mxr{os.getpid()}", "10.231.7.3")
        for name, address in hosts.items():
            space = f"matrix-{os.getpid()}{name}"
            ip("netns", "add", space)
            ip("-n", space, "link", "set", "lo", "up")
            router.add(f"mxr{os.getpid()}{name}"[:15], address, space)
            argv = (*own_command(), "worker", "--fleet", str(path), "--name", name)
            command = ("ip", "netns", "exec", space, *argv)
            workers.append(subprocess.Popen(command, stderr=subprocess.PIPE))
        routing.start()
        for worker in workers:
            assert worker.stderr is not None
            worker.stderr.readline()  # it waits for an orchestrator, which it says once
        yield path
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
        router.ends.set()
        if routing.ident is not None:
            routing.join()
        router.close()
        for name in hosts:
            words = ("ip", "netns", "del", f"matrix-{os.getpid()}{name}")
            subprocess.run(words, check=False)


def measured(round_trip: float, hops: int) -> dict[tuple[str, ...], list[Hop]]:
    """The hops of each case, by strategy and transport."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["MATRIX_CACHE"] = str(folder / "cache")
        scenario = folder / "far.yaml"
        scenario.write_text(SCENARIO.format(hops=hops))
        with lab(folder, round_trip / 2) as path:
            words = ("run", str(scenario), "-o", str(folder / "out"), "--fleet", str(path))
            argv = (*own_command(), *words, "-j", "1", "-v")
            status = subprocess.run(argv, stdout=sys.stderr, check=False).returncode
        if status:
            sys.exit(f"the run ended with {status}")
        found: dict[tuple[str, ...], list[Hop]] = {}
        for file in sorted(folder.glob(f"out/cases/*/{HOPS_FILE}")):
            for hop in read_hops(file):
                found.setdefault((hop.strategy.value, hop.transport), []).append(hop)
        return found


def costs(hop: Hop) -> tuple[float, float]:
    """Seconds before ``migrate``, and after it beside QEMU's own."""
    begin = next(event.at for event in hop.events if event.what == "begin")
    return -begin, hop.seconds - (hop.total_time or 0.0)


def main() -> None:
    """Print a table."""
    if os.geteuid() or shutil.which("ip") is None:
        sys.exit("network namespaces take root and ip(8)")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # no namespace stays
    hops = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    head = ("RTT ms", "strategy", "transport", "hops", "before", "after", "both", "bound", "clocks")
    print("".join(f"{each:>14}" for each in head))
    given = tuple(float(each) / 1e3 for each in sys.argv[2:])
    for round_trip in given or ROUND_TRIPS:
        for key, found in measured(round_trip, hops).items():
            good = [hop for hop in found if hop.good and hop.total_time is not None]
            before, after = zip(*map(costs, good), strict=True)
            both = statistics.median(map(sum, zip(before, after, strict=True)))
            clocks = statistics.median(hop.clock_bound or 0.0 for hop in good)
            times = (*map(statistics.median, (before, after)), both)
            bound = BOUND + TRIPS * round_trip
            cells = (f"{1e3 * each:.1f}" for each in (*times, bound, clocks))
            row = (f"{1e3 * round_trip:g}", *key, str(len(good)), *cells)
            print("".join(f"{each:>14}" for each in row), flush=True)


if __name__ == "__main__":
    main()
