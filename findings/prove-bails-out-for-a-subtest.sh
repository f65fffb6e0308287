#!/usr/bin/env bash
# prove (TAP::Harness 3.44) of perl 5.36 (Debian 12): of the indented lines of a subtest, which it does not read
# (a "not ok" there fails nothing, an "ok" is not counted), one is an order all the same: "Bail out!". It
# stops everything: the files after this one are never run, the exit status is 255, and the summary says "All
# tests successful" and "Result: PASS" of what it came to. So the output of a test that gave itself up must not
# be nested in a report as it is; as a diagnostic ("#"), or in a YAML block, it does no harm. tap.py 3.2.1
# (PyPI) ignores it.
#
#                              prove of that file and another one
#   "    not ok 1 - inner"     Files=2, Result: PASS, exit status 0
#   "    Bail out! inner"      Files=1, Result: PASS, exit status 255
#   "# Bail out! inner"        Files=2, Result: PASS, exit status 0
#
# Unpacks perl from Debian 12's packages into a temporary folder (apt-get with the host's sources; nothing is
# installed), makes a virtual environment there, and fails if a line is another or tap.py bails out.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists,archives}/partial
: >"$work/status"
options=(-o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status"
	-o "Dir::Cache::Archives=$work/archives" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false)
apt-get -qq "${options[@]}" update
apt-get -qq -y "${options[@]}" install --download-only 'perl=5.36*'
for package in "$work"/archives/*.deb; do dpkg -x "$package" "$work/root"; done
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install tap.py==3.2.1
libc=$(find "$work/root" -name 'libc.so.6' -printf '%h' -quit)
perl_lib=$(find "$work/root/usr/lib" -type d -name perl-base -printf '%h' -quit)
prove() { # FILE…
	PERL5LIB="$work/root/usr/share/perl/5.36:$perl_lib/perl/5.36:$perl_lib/perl-base" \
		"$(find "$work/root" -name 'ld-linux*.so.*' | sort | head -n 1)" --library-path "$libc:$perl_lib" \
		"$work/root/usr/bin/perl" "$work/root/usr/bin/prove" "$@"
}
prove --version
printf '1..1\nok 1 - another\n' >"$work/another.tap"
seen() { # LINE: what prove says of a file with it, and of another one
	printf '1..2\n%s\nok 1 - outer\nok 2 - last\n' "$1" >"$work/one.tap"
	local status=0
	prove -e cat "$work/one.tap" "$work/another.tap" >"$work/output" 2>/dev/null || status=$?
	echo "$(grep -o '^Files=[0-9]*' "$work/output"), $(grep '^Result' "$work/output"), exit status $status"
}
ignored=$(seen '    not ok 1 - inner')
diagnostic=$(seen '# Bail out! inner')
bailed=$(seen '    Bail out! inner')
printf '%s\n' "not ok: $ignored" "Bail out!: $bailed" "diagnostic: $diagnostic"
"$work/venv/bin/tappy" "$work/one.tap" "$work/another.tap" 2>&1 | tee "$work/output" | grep '^Ran\|^OK'
[ "$ignored" = "Files=2, Result: PASS, exit status 0" ] && [ "$diagnostic" = "$ignored" ] &&
	[ "$bailed" = "Files=1, Result: PASS, exit status 255" ] && grep -q '^OK' "$work/output"
