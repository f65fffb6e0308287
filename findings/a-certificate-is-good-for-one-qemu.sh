#!/usr/bin/env bash
# QEMU 7.2.22 (Debian 12) and 10.0.2 (its backports), and 11.1.3: which certificates tls-creds-x509 takes is for
# each QEMU to say, by checks of its own that come before the first connection, at object-add. What OpenSSL
# verifies may be refused, and what one version takes is refused by the next, so that a folder of
# credentials may serve one side of a migration and not the other. 10.0 wants "key encipherment", which no
# ECDSA or Ed25519 key can do, where the key usage is critical; 7.2 and 10.0 read no more than the first
# certificate of server-cert.pem, so that a full chain has no issuer (its intermediate belongs into
# ca-cert.pem), and refuse a bundle of authorities if any of them has expired.
#
#                                                     OpenSSL   7.2.22    10.0.2    11.1.3
#   ECDSA, key usage "digital signature", critical    taken     taken     refused   taken
#   server-cert.pem is a full chain                   taken     refused   refused   taken
#   ca-cert.pem has an expired authority besides      taken     refused   refused   taken
#   ca-cert.pem is the intermediate alone             refused   taken     taken     refused
#   ca-cert.pem is the intermediate and the root      taken     taken     taken     taken
#
# Unpacks both versions into temporary folders with apt-get (Debian 12's from the host's sources, those of
# the suite in the argument, default bookworm-backports, from its mirror; nothing is installed), makes a
# virtual environment with cryptography 50.0.2 (PyPI) there, and fails if a line is another.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
unpack() { # FOLDER PACKAGE…: bin/ and root/ in it
	rm -rf "$work"/{lists,archives}
	mkdir -p "$work/$1/bin" "$work"/{lists,archives}/partial
	: >"$work/status"
	apt-get -qq "${options[@]}" update
	apt-get -qq -y "${options[@]}" install --download-only "${@:2}"
	for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/$1/root"; done
	for program in "$work/$1"/root/usr/bin/qemu-*; do
		cat >"$work/$1/bin/${program##*/}" <<WRAPPER
#!/bin/sh
export QEMU_MODULE_DIR=$(find "$work/$1/root/usr/lib" -type d -name qemu -path '*-linux-gnu/*' -print -quit)
exec setpriv --pdeathsig KILL $(find "$work/$1/root" -name 'ld-linux*.so.*' | sort | head -n 1) \\
	--library-path $(find "$work/$1/root" -name 'libc.so.6' -printf '%h' -quit):$(find "$work/$1/root/usr/lib" -name 'libglib-2.0.so.0' -printf '%h' -quit):$(find "$work/$1/root" -type d -name pulseaudio -path '*lib*' -print -quit) \\
	$program -L $work/$1/root/usr/share/qemu -L $work/$1/root/usr/share/seabios "\$@"
WRAPPER
		chmod +x "$work/$1/bin/${program##*/}"
	done
	"$work/$1/bin/qemu-system-x86_64" --version | head -n 1
}
unpack old 'qemu-system-x86=1:7.2*' seabios
suite=${1:-bookworm-backports}
mirror=$(apt-get "${options[@]}" indextargets --format '$(REPO_URI)' 'Origin: Debian' |
	grep '/debian/*$' | sort -u | sed -n 1p) || true
[ -n "$mirror" ] || { echo "apt-get has no source of Debian's packages here" >&2; exit 1; }
printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
	"$mirror" "${suite%-backports} $suite" /usr/share/keyrings/debian-archive-keyring.gpg >"$work/debian.sources"
options+=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work" -o "APT::Default-Release=$suite")
unpack new qemu-system-x86 seabios
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install cryptography==50.0.2
setpriv --pdeathsig KILL venv/bin/python - <<'PYTHON'
import datetime, json, os, socket, ssl, subprocess, sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Entity:
    """A key and its certificate, signed by another one (default: itself)."""

    def __init__(self, name: str, issuer: "Entity | None" = None, *, usage: str = "", days: int = 9) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        issuer = issuer or self
        now = datetime.datetime.now(datetime.timezone.utc)
        dates = now - datetime.timedelta(days=9), now + datetime.timedelta(days=days)
        public, number = self.key.public_key(), x509.random_serial_number()
        builder = x509.CertificateBuilder(issuer.name, self.name, public, number, *dates)
        builder = builder.add_extension(x509.BasicConstraints(name != "localhost", None), critical=True)
        if name == "localhost":
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        if usage:
            names = "digital_signature content_commitment key_encipherment data_encipherment key_agreement"
            names += " key_cert_sign crl_sign encipher_only decipher_only"
            usages = x509.KeyUsage(**{name: name == usage for name in names.split()})
            builder = builder.add_extension(usages, critical=True)
        self.pem = builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def folder(name: str, authorities: list[Entity], *chain: Entity) -> None:
    """Credentials of a server in a folder."""
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key = chain[0].key.private_bytes(serialization.Encoding.PEM, *private)
    os.mkdir(name)
    for file, content in {
        "ca-cert": b"".join(entity.pem for entity in authorities),
        "server-cert": b"".join(entity.pem for entity in chain),
        "server-key": key,
    }.items():
        with open(f"{name}/{file}.pem", "wb") as target:
            target.write(content)


def openssl(folder: str) -> str:
    """Whether a client with the authorities takes the server."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(f"{folder}/server-cert.pem", f"{folder}/server-key.pem")
    visiting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    visiting.load_verify_locations(f"{folder}/ca-cert.pem")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(up, down, server_side=True)
    client = visiting.wrap_bio(down, up, server_hostname="localhost")
    for side in client, server, client, server:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError:
            return "refused"
    return "taken"


def qemu(program: str, folders: list[str]) -> list[str]:
    """Which of the folders object-add takes."""
    ours, theirs = socket.socketpair()
    monitor = ["-chardev", f"socket,id=m,fd={theirs.fileno()}", "-mon", "chardev=m,mode=control"]
    process = subprocess.Popen([program, "-machine", "none", "-display", "none", *monitor], pass_fds=[theirs.fileno()])
    theirs.close()
    lines = ours.makefile("rw")
    lines.readline()
    answers = []
    for index, name in enumerate([None, *folders]):
        credentials = {"qom-type": "tls-creds-x509", "id": f"t{index}", "endpoint": "server", "dir": name}
        message = {"execute": "object-add", "arguments": credentials} if name else {"execute": "qmp_capabilities"}
        lines.write(json.dumps(message) + "\n")
        lines.flush()
        answer = json.loads(lines.readline())
        answers.append("taken" if "return" in answer else "refused")
        name and print(f"{program.split('/')[0]:4}", name, *[answer["error"]["desc"]] if "error" in answer else "")
    process.kill()
    process.wait()
    return answers[1:]


root = Entity("root")
expired = Entity("expired", days=-1)
middle = Entity("middle", root)
leaf = Entity("localhost", middle)
folder("usage", [root], Entity("localhost", root, usage="digital_signature"))
folder("chain", [root], leaf, middle)
folder("expired", [root, expired], Entity("localhost", root))
folder("middle", [middle], leaf)
folder("both", [middle, root], leaf)
folders = ["usage", "chain", "expired", "middle", "both"]
programs = ["old/bin/qemu-system-x86_64", "new/bin/qemu-system-x86_64"]
seen = list(zip(folders, map(openssl, folders), *(qemu(program, folders) for program in programs)))
for line in seen:
    print(*line)
sys.exit([line[1:] for line in seen] != [
    ("taken", "taken", "refused"), ("taken", "refused", "refused"), ("taken", "refused", "refused"),
    ("refused", "taken", "taken"), ("taken", "taken", "taken"),
])
PYTHON
