"""A QEMU that does what a test tells it to, started as a program in QEMU's place.

    python -I -S fake_qemu.py [-fake SCRIPT] [QEMU OPTIONS …]

It speaks QMP on the descriptor that it finds in ``-chardev socket,…,fd=N`` and understands of
QEMU's options only that. What it does is a script in JSON, given by ``-fake`` or in the environment
as ``FAKE_QEMU``; without one it is a guest that prints nothing and passes. ::

    {"start": [STEP, …],     before the greeting
     "cont": [STEP, …],      once the monitor has answered the first "cont"
     "before": {COMMAND: [STEP, …]},         when a command has come, before it is answered
     "after": {COMMAND: [STEP, …]},          once it is answered, the first time
     "replies": {COMMAND: RETURN},           what commands return, else {}
     "errors": {COMMAND: [CLASS, DESC]},     commands that are refused
     "silent": [COMMAND, …],                 commands that are never answered
     "ignore": ["TERM", "quit"],             what does not end it
     "greet": false,                         never greet, nor read
     "version": [10, 0, 0]}

A step is a list, its name first:

    ["stdout", TEXT]  ["stderr", TEXT]  ["event", NAME, DATA]  ["qmp", RAW TEXT]
    ["sleep", SECONDS]      asleep, not even serving the monitor
    ["serve", SECONDS]      serving the monitor, else asleep; null: for ever
    ["spin", SECONDS]       using CPU; null: for ever
    ["work", SECONDS]       using CPU and serving the monitor; null: for ever
    ["flood", BYTES, PIECE] prints PIECE until BYTES are out; null: for ever
    ["storm", COUNT]        so many events; null: for ever
    ["deep", LEVELS]        one QMP message nested so deep
    ["long", BYTES]         one QMP message without an end of that size
    ["clock", PATH, SECONDS]    the host's clock is set so far ahead, which the file says
    ["state", STATUS]       query-status says so from here on
    ["reply", COMMAND, RETURN]  what that command returns from here on
    ["more", COMMAND, OBJECT, MEMBER]      what it returns there is greater by 1 from here on
    ["refuse", COMMAND, CLASS, DESC, TIMES]  the next TIMES of that command are refused
    ["registers", TEXT, …]  what "info registers" says, in turn, again and again
    ["prove", PATH]         beats as the guest ram-integrity does while it runs, until a q is typed,
                            and passes; the number of the next beat is in PATH, for all processes
    ["set beat", PATH, N]   that is the number of the next beat; 0: the guest begins anew
    ["keep", PATH]          keeps that number, for "go back"
    ["go back", PATH]
    ["pass on", PATH]       the guest leaves: whoever waits for it may have it
    ["take over", PATH]     waits for it
    ["child"]               leaves a child process behind that ignores SIGTERM
    ["eat", BYTES]          takes so much memory, and keeps it
    ["key", TEXT]           waits until that is typed on the console
    ["hang up"]             closes the monitor
    ["exit", STATUS]  ["abort"]  ["signal", NUMBER]

After the steps of "start" it greets and serves; after those of "cont" it exits as a passing x86
guest does (status 1) unless the last step never ends.
"""

import os
import sys
import time

# What "typing" would say, whose import takes longer than the rest of a run.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Script = dict[str, Any]
    Steps = list[list[Any]]

PASSED = 1
NEW_LINE = b"\r\n"


def main() -> None:
    if sys.argv[-2:] == ["-L", "help"]:  # its data folders: it has none
        sys.exit(0)
    script, descriptor = arguments(sys.argv[1:])
    Fake(script, descriptor).run()


def arguments(words: list[str]) -> "tuple[Script, int]":
    text, descriptor = os.environ.get("FAKE_QEMU", ""), -1
    for word, value in zip(words, words[1:], strict=False):  # noqa: RUF007 - imports cost time here
        if word == "-fake":
            text = value
        if word == "-chardev" and ",fd=" in value:
            descriptor = int(value.partition(",fd=")[2].partition(",")[0])
    return (loads(text) if text else {}), descriptor


def loads(text: str) -> "Script":
    import json  # takes longer than all the rest, and most runs do without

    script: Script = json.loads(text)
    return script


def dumps(value: object) -> str:
    import json

    return json.dumps(value)


class Fake:
    def __init__(self, script: "Script", descriptor: int) -> None:
        self.script = script
        self.monitor = descriptor
        self.pending = b""
        self.state = "prelaunch"
        self.released = False
        self.registers: tuple[str, ...] = ("",)
        self.asked = 0
        self.ahead = 0.0
        self.refusals: dict[str, list[tuple[str, str]]] = {}

    def run(self) -> None:
        if "TERM" in self.script.get("ignore", ()):
            import signal

            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.steps(self.script.get("start", ()))
        if self.monitor < 0:  # by hand, as command.sh does it: no -S, the guest runs at once
            self.steps(self.script.get("cont", ()))
            sys.exit(PASSED)
        if not self.script.get("greet", True):
            time.sleep(1e6)
        version = self.script.get("version", [7, 2, 0])
        self.send(
            b'{"QMP": {"version": {"qemu": {"major": %d, "minor": %d, "micro": %d},'
            b' "package": "fake"}, "capabilities": ["oob"]}}' % tuple(version)
        )
        self.serve(None)
        sys.exit(0)

    def steps(self, steps: "Steps") -> None:
        for name, *values in steps:
            getattr(self, "do_" + name.replace(" ", "_"))(*values)

    # -- the monitor

    def send(self, message: bytes) -> None:
        self.put(message + NEW_LINE)

    def put(self, data: bytes) -> None:
        if self.monitor >= 0:
            try:
                write(self.monitor, data)
            except OSError:  # the peer has had enough
                self.hang_up()

    def serve(self, seconds: float | None) -> None:
        """Answer commands for that long, or until the peer is gone."""
        import select

        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            if self.monitor < 0:
                time.sleep(1e6 if left is None else left)
                return
            if select.select([self.monitor], [], [], left)[0]:
                self.receive()

    def receive(self) -> None:
        try:
            data = os.read(self.monitor, 65536)
        except OSError:
            data = b""
        if not data:
            self.hang_up()
            return
        self.pending += data
        while self.monitor >= 0:
            # The client ends its messages with nothing at all: an object is over at its last brace.
            end = self.end_of_object()
            if end < 0:
                return
            message, self.pending = self.pending[:end], self.pending[end:]
            self.execute(message)

    def end_of_object(self) -> int:
        depth, quoted, escaped = 0, False, False
        for place, byte in enumerate(self.pending):
            if escaped:
                escaped = False
            elif quoted:
                escaped, quoted = byte == 0x5C, byte != 0x22
            elif byte == 0x22:
                quoted = True
            elif byte == 0x7B:
                depth += 1
            elif byte == 0x7D:
                depth -= 1
                if depth == 0:
                    return place + 1
        return -1

    def execute(self, message: bytes) -> None:
        command, number = (
            field(message, b"execute") or field(message, b"exec-oob"),
            field(message, b"id"),
        )
        name = command.decode()
        number = number and b', "id": "%s"' % number
        self.steps(self.script.get("before", {}).get(name, ()))
        if name in self.script.get("silent", ()):
            return
        refused = self.refused(name)
        if refused is not None:
            kind, why = refused
            error = dumps({"class": kind, "desc": why}).encode()
            self.send(b'{"error": %s%s}' % (error, number))
            return
        if name == "cont":
            self.state = "running"
            self.do_event("RESUME")
        if name == "stop" and self.state == "running":
            self.state = "paused"
            self.do_event("STOP")
        self.send(b'{"return": %s%s}' % (self.answer(name, message), number))
        self.steps(self.script.get("after", {}).pop(name, ()))
        if name == "cont" and not self.released:
            self.released = True
            self.steps(self.script.get("cont", ()))
            os._exit(PASSED)
        if name == "quit" and "quit" not in self.script.get("ignore", ()):
            os._exit(0)

    def refused(self, name: str) -> "tuple[str, str] | None":
        if self.refusals.get(name):
            return self.refusals[name].pop()
        refused: tuple[str, str] | None = self.script.get("errors", {}).get(name)
        return refused

    def answer(self, name: str, message: bytes) -> bytes:
        if name in self.script.get("replies", {}):
            return dumps(self.script["replies"][name]).encode()
        if name == "query-kvm":
            return b'{"enabled": false, "present": true}'
        if name == "query-status":
            running = b"true" if self.state == "running" else b"false"
            return b'{"status": "%s", "singlestep": false, "running": %s}' % (
                self.state.encode(),
                running,
            )
        if name == "query-cpus-fast":
            return b'[{"cpu-index": 0, "thread-id": %d, "target": "x86_64"}]' % os.getpid()
        if name == "human-monitor-command" and b"info registers" in message:
            text = self.registers[self.asked % len(self.registers)]
            self.asked += 1
            return dumps(text).encode()
        return b"{}"

    def hang_up(self) -> None:
        if self.monitor >= 0:
            os.close(self.monitor)
            self.monitor = -1

    # -- the steps

    def do_stdout(self, text: str) -> None:
        write(1, text.encode("utf-8", "surrogateescape"))

    def do_stderr(self, text: str) -> None:
        write(2, text.encode("utf-8", "surrogateescape"))

    def do_event(self, name: str, data: object = None) -> None:
        text = b"" if data is None else b', "data": ' + dumps(data).encode()
        now = time.time() + self.ahead
        stamp = b'{"seconds": %d, "microseconds": %d}' % (now, now % 1 * 1e6)
        self.send(b'{"timestamp": %s, "event": "%s"%s}' % (stamp, name.encode(), text))

    def do_refuse(self, name: str, kind: str, why: str, times: int) -> None:
        self.refusals[name] = [(kind, why)] * times

    def do_qmp(self, text: str) -> None:
        self.put(text.encode("utf-8", "surrogateescape"))

    def do_sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def do_serve(self, seconds: float | None) -> None:
        self.serve(seconds)

    def do_spin(self, seconds: float | None) -> None:
        deadline = time.monotonic() + (1e6 if seconds is None else seconds)
        while time.monotonic() < deadline:
            pass

    def do_work(self, seconds: float | None) -> None:
        deadline = time.monotonic() + (1e6 if seconds is None else seconds)
        while time.monotonic() < deadline:
            self.do_spin(0.01)
            self.serve(0.001)

    def do_flood(self, count: int | None, piece: str = "flood ") -> None:
        data = piece.encode() * (65536 // len(piece) + 1)
        left = 1 << 60 if count is None else count
        while left > 0:
            write(1, data[:left])
            left -= len(data)

    def do_storm(self, count: int | None) -> None:
        left = 1 << 60 if count is None else count
        while left > 0:
            self.do_event("RTC_CHANGE", {"offset": left})
            left -= 1

    def do_deep(self, levels: int) -> None:
        self.do_qmp('{"return": ' + "[" * levels + "]" * levels + "}\n")

    def do_long(self, size: int) -> None:
        self.put(b'{"return": "')
        for _ in range(size // 65536):
            self.put(b"x" * 65536)

    def do_state(self, status: str) -> None:
        self.state = status

    def do_clock(self, path: str, seconds: float) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        write(descriptor, str(seconds).encode())
        os.close(descriptor)
        self.ahead = seconds

    def do_reply(self, command: str, returned: object) -> None:
        self.script.setdefault("replies", {})[command] = returned

    def do_more(self, command: str, name: str, member: str) -> None:
        self.script["replies"][command][name][member] += 1

    def do_registers(self, *texts: str) -> None:
        self.registers = texts

    def do_child(self) -> None:
        import signal

        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1e6)

    def do_eat(self, size: int) -> None:
        self.eaten = bytearray(b"x") * size  # written to: zeros would cost nothing

    def do_prove(self, path: str) -> None:
        import select

        text = "" if os.path.exists(path) else "INTEGRITY: START vcpus=1\n"  # noqa: PTH110 - importing pathlib takes longer than the rest
        while not select.select([0], [], [], 0)[0] or os.read(0, 1) != b"q":
            if self.state == "running":
                beat = int(read(path) or "1")
                if beat == 0:
                    beat, text = 1, "INTEGRITY: START vcpus=1\n"
                text += f"INTEGRITY: BEAT n={beat} clock={beat}000000 gap=0 verified=1 passes=1\n"
                replace(path, str(beat + 1))
                self.do_stdout(text)
                text = ""
            self.serve(0.01)
        self.do_stdout("INTEGRITY: END beats=1\nPASS: all is well\nSUMMARY: 1 tests\n")
        os._exit(PASSED)

    def do_set_beat(self, path: str, number: int) -> None:
        replace(path, str(number))

    def do_keep(self, path: str) -> None:
        replace(path + ".kept", read(path))

    def do_go_back(self, path: str) -> None:
        replace(path, read(path + ".kept"))

    def do_pass_on(self, path: str) -> None:
        self.state = "postmigrate"
        replace(path + ".free", "")

    def do_take_over(self, path: str) -> None:
        while not os.path.exists(path + ".free"):  # noqa: PTH110 - importing pathlib takes longer than the rest
            self.serve(0.005)
        os.unlink(path + ".free")  # noqa: PTH108 - importing pathlib takes longer than the rest

    def do_key(self, text: str) -> None:
        typed = b""
        while text.encode() not in typed:
            typed += os.read(0, 1) or sys.exit(2)

    def do_hang_up(self) -> None:
        self.hang_up()

    def do_exit(self, status: int) -> None:
        os._exit(status)

    def do_abort(self) -> None:
        os.abort()

    def do_signal(self, number: int) -> None:
        os.kill(os.getpid(), number)
        time.sleep(10)


def read(path: str) -> str:
    try:
        with open(path) as file:  # noqa: PTH123 - importing pathlib takes longer than the rest
            return file.read()
    except FileNotFoundError:
        return ""


def replace(path: str, text: str) -> None:
    part = f"{path}.{os.getpid()}"  # two may write at a time
    with open(part, "w") as file:  # noqa: PTH123 - importing pathlib takes longer than the rest
        file.write(text)
    os.replace(part, path)  # noqa: PTH105 - importing pathlib takes longer than the rest


def write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def field(message: bytes, name: bytes) -> bytes:
    """The value of a string field of a JSON message, as bytes, or empty; of several the last one,
    as arguments come before the message's own id."""
    start = message.rfind(b'"' + name + b'":"')
    if start < 0:
        return b""
    start += len(name) + 4
    return message[start : message.index(b'"', start)]


if __name__ == "__main__":
    main()
