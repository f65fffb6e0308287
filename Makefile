# Every target does its own set-up: a virtual environment, and the system packages it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Tests run in parallel, three for each CPU; tests/conftest.py says what runs together.
PYTEST_JOBS ?= auto

.DEFAULT_GOAL := help
.PHONY: help run kvm test ten-times check guests docs pictures benchmarks qemu compilers postgresql chromium gdb virtual clean

help: ## say what the targets do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(READY) qemu ## boot the embedded guests on every architecture (scenarios/smoke.yaml)
	$(BIN)/matrix run scenarios/smoke.yaml

kvm: $(READY) qemu virtual ## run the embedded guests under KVM in virtual hosts of four architectures
	$(BIN)/matrix run scenarios/virtual-kvm.yaml --fail-on-skip \
		$(foreach arch,aarch64 x86_64 riscv64 ppc64,--virtual-host $(arch)=debian-13)

test: $(READY) qemu postgresql chromium gdb ## run the test suite, on real QEMU
	$(BIN)/pytest -n $(PYTEST_JOBS) -q

ten-times: $(READY) qemu postgresql chromium gdb ## run the test suite ten times; every other time beside busy loops
	$(BIN)/python tests/ten_times.py

check: $(READY) compilers ## ruff, mypy, import-linter, vulture, clang-format, tsc, eslint, and the guests' reproducibility
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy matrix tests benchmarks docs/reference docs/pictures
	$(BIN)/lint-imports
	$(BIN)/vulture
	find matrix/guests -name '*.[ch]' -exec $(BIN)/clang-format --dry-run --Werror {} +
	.ci/javascript/check
	$(MAKE) --no-print-directory -C matrix/guests check

guests: compilers ## build the embedded guests' images anew
	$(MAKE) --no-print-directory -C matrix/guests

docs: $(READY) ## build the manual into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

pictures: $(READY) qemu chromium ## draw the manual's pictures anew, from runs on this machine
	$(BIN)/python -m docs.pictures.draw

benchmarks: $(READY) qemu ## measure speed and memory; takes some minutes
	$(BIN)/python -m benchmarks

qemu:
	@.ci/install-packages qemu

postgresql:
	@.ci/install-packages postgresql || echo "Tests of PostgreSQL will be skipped." >&2

chromium:
	@.ci/install-packages chromium || echo "Tests of the report in a browser will be skipped." >&2

gdb:
	@.ci/install-packages gdb || echo "Tests that debug guests will be skipped." >&2

virtual:
	@.ci/install-packages virtual || echo "x86_64 hosts will boot in twice the time." >&2

compilers:
	@.ci/install-packages compilers

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; choose one with make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { .ci/install-packages venv && $(PYTHON) -m venv $(VENV); }
	$(BIN)/pip install --quiet --disable-pip-version-check \
		--config-settings editable_mode=compat --editable '.[dev]'
	touch $@

clean: ## remove what the other targets made
	rm -rf $(VENV) .ci/javascript/node_modules build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
