"""``matrix fleet init``: the folder of a new fleet, or what further hosts of it need."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from matrix.errors import HostError, UsageError
from matrix.hosts.fleet.authority import Authority
from matrix.hosts.fleet.fleet_file import ORCHESTRATOR, PORT, parse_address, parse_host_name
from matrix.scenario.wording import Refused, quoted

FLEET_FILE = "fleet.yaml"
CERTIFICATES = "certificates"
AUTHORITY = "ca"


def parse_hosts(options: Sequence[str]) -> dict[str, str]:
    """Addresses by the hosts' names, from ``NAME=ADDRESS``.

    Raises:
        UsageError: one is written wrongly, or given twice.
    """
    hosts: dict[str, str] = {}
    for option in options:
        name, _, address = option.partition("=")
        try:
            name, address = parse_host_name(name), parse_address(address)
        except Refused as refused:
            raise UsageError(f"--host {option}: {refused}; as in z1=10.0.0.11") from None
        if name in hosts:
            raise UsageError(f"--host {option}: {quoted(name)} is given twice")
        hosts[name] = address
    if not hosts:
        raise UsageError("matrix fleet init: name the hosts, as in --host z1=10.0.0.11")
    return hosts


def found_fleet(folder: Path, hosts: dict[str, str], scheduler: str) -> list[str]:
    """Write whatever is not there: authority, certificates, fleet file. Nothing is overwritten.

    Args:
        folder: of the fleet; one that was made before gets further hosts.
        hosts: addresses by names.
        scheduler: address of this machine, as the hosts reach it.

    Returns:
        Lines that say what was made, and what is to be copied where.

    Raises:
        UsageError: a host has a certificate already, or the folder is another's.
        HostError: something cannot be written.
    """
    try:
        _write_keys(folder, hosts, scheduler)
        return [*_file_lines(folder, hosts, scheduler), *_copying(folder, hosts)]
    except OSError as error:
        raise HostError(f"{error.filename}: {error.strerror}") from None


def _write_keys(folder: Path, hosts: dict[str, str], scheduler: str) -> None:
    certificates, authority_folder = folder / CERTIFICATES, folder / AUTHORITY
    for name in hosts:
        if (certificates / name).exists():
            raise UsageError(
                f"{certificates / name} exists, and nothing is overwritten; remove it if "
                f"{name} is to get a new key"
            )
    fresh = not authority_folder.exists()
    if fresh and folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} has no {AUTHORITY}/, but other files; name a new folder")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    certificates.mkdir(mode=0o700, exist_ok=True)
    if fresh:
        authority = Authority.make(f"matrix fleet {folder.resolve().name}")
        authority.save(authority_folder)
    else:
        authority = Authority.load(authority_folder)
    if not (certificates / ORCHESTRATOR).exists():
        authority.issue((ORCHESTRATOR, scheduler), certificates / ORCHESTRATOR)
    for name, address in hosts.items():
        authority.issue((name, address), certificates / name)


def _file_lines(folder: Path, hosts: dict[str, str], scheduler: str) -> list[str]:
    path = folder / FLEET_FILE
    entries = "".join(f"  {name}: {{address: '{address}'}}\n" for name, address in hosts.items())
    text = (
        f"scheduler: {{address: '{scheduler}', port: {PORT}}}\n"
        "# Of a host also: arch, tags, jobs, ports and migration_address; matrix schema fleet.\n"
        f"hosts:\n{entries}"
    )
    try:
        with path.open("x") as file:
            file.write(text)
    except FileExistsError:
        return [f"{path} is there and is left alone; add to its hosts:", *entries.splitlines()]
    return [f"{path}: its hosts; say more of them there"]


def _copying(folder: Path, hosts: dict[str, str]) -> list[str]:
    here, there = shlex.quote(str(folder)), shlex.quote(folder.resolve().name)
    lines = [
        f"{folder / AUTHORITY}: the authority's key; no host needs it, who has it can add hosts",
        "To each host its own key, and what all may know (ADDRESS as ssh knows it):",
    ]
    for name, address in hosts.items():
        files = f"{FLEET_FILE} {CERTIFICATES}/{shlex.quote(name)}"
        lines.append(
            f"  tar -C {here} -c {files} | ssh {address} "
            f"'umask 077; mkdir -p {there}; tar -C {there} -xp'"
        )
    lines.append("There, as a user of group kvm:")
    lines += [f"  matrix worker --fleet {there}/{FLEET_FILE} --name {name}" for name in hosts]
    return lines
