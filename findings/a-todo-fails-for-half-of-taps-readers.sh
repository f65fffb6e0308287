#!/usr/bin/env bash
# tap-junit 5.0.4, tap-spec 5.0.0, tap-xunit 2.4.1 and tap-parser 18.3.4 (npm), prove 3.44 (perl 5.36) and tap.py 3.2.1:
# what TAP has for a known failure, "not ok 2 - known # TODO reason", is to fail no run, and is a failure to some of
# those who turn TAP into something else: one counts it as a failure in its JUnit file, another exits with 1, and a third
# makes a skip of it. So known failures should reach a reader of JUnit by a JUnit file of one's own.
#
#                a file of "ok 1" and "not ok 2 - known # TODO reason"
#   tap-parser   passes
#   prove        passes (not run here)
#   tap.py       passes (not run here)
#   tap-xunit    <testsuite tests="2" skipped="1" failures="0"
#   tap-junit    <testsuite tests="2" skipped="0" failures="1"
#   tap-spec     exit status 1
#
# Installs the four from npm into a temporary folder (node 18 or later) and fails if a line is another.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private": true}' >package.json
npm install --silent --no-audit --no-fund tap-junit@5.0.4 tap-spec@5.0.0 tap-xunit@2.4.1 tap-parser@18.3.4 >/dev/null
echo "node $(node --version)"
printf 'TAP version 13\n1..2\nok 1 - good\nnot ok 2 - known # TODO reason\n' >known.tap
seen() { # PROGRAM: how it ends, and what it counts
	local status=0
	"node_modules/.bin/$1" <known.tap >"$1.output" 2>&1 || status=$?
	echo "exit status $status$(grep -o '<testsuite [^>]*' "$1.output" | grep -o ' \(skipped\|failures\)="[0-9]*"' | tr -d '\n')"
}
good=0
check() { # PROGRAM EXPECTED
	local said
	said=$(seen "$1")
	printf '%-12s %s\n' "$1" "$said"
	[ "$said" = "$2" ] || good=1
}
check tap-parser "exit status 0"
check tap-xunit 'exit status 0 skipped="1" failures="0"'
check tap-junit 'exit status 0 skipped="0" failures="1"'
check tap-spec "exit status 1"
exit "$good"
