#!/usr/bin/env bash
# pytest 9.2.0 with pytest-xdist 3.8.0: @pytest.mark.xdist_group does nothing. Tests of one group, under
# --dist loadgroup, run in different workers, without a warning: what was to be made once per group (a
# database server, a built wheel) is made by every worker. With pytest 8.4.2 the same xdist keeps them
# together.
#
# Makes two virtual environments in a temporary folder; fails if both versions agree.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/test_group.py" <<'PYTHON'
import os, pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_where(number):
    with open(os.environ["WORKERS"], "a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\n")
PYTHON
workers() { # PYTEST_VERSION: how many workers the group's tests ran in
	python3 -m venv "$work/$1"
	"$work/$1/bin/pip" -q --disable-pip-version-check install "pytest==$1" pytest-xdist==3.8.0
	WORKERS="$work/$1.workers" "$work/$1/bin/pytest" -q -n 2 --dist loadgroup \
		--rootdir "$work" "$work/test_group.py" >/dev/null
	sort -u "$work/$1.workers" | wc -l
}
old=$(workers 8.4.2)
new=$(workers 9.2.0)
echo "workers of one group: $old with pytest 8.4.2, $new with pytest 9.2.0"
[ "$old" = 1 ] && [ "$new" = 2 ]
