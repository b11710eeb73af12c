# Needs Python 3.11 to 3.13, make and a package index. Everything is installed into .venv.
# To use another interpreter: make serve PYTHON=python3.12

# An empty variable of the environment is unset.
PYTHON := $(or $(PYTHON),python3)
HOST := $(or $(HOST),127.0.0.1)
PORT := $(or $(PORT),8000)

VENV := .venv
BIN := $(VENV)/bin
# Build tools are pinned, too (old versions of pip ignore the variable).
PIP := PIP_BUILD_CONSTRAINT=constraints.txt $(BIN)/python -m pip --quiet --disable-pip-version-check
INPUTS := pyproject.toml constraints.txt
CLIENTS := tests/clients
NODE_CLIENTS := $(if $(shell command -v npm 2>/dev/null),$(CLIENTS)/node_modules/.stamp)
PLAYGROUND := tests/server/playground
AXE := $(if $(shell command -v npm 2>/dev/null),$(PLAYGROUND)/node_modules/.stamp)
CHECKPOINTS := tests/models/diffusers
# The tests of checkpoints run in two processes, because one takes longer than all other tests.
CHECKPOINTS_1 := $(wildcard $(CHECKPOINTS)/test_[a-m]*.py)
CHECKPOINTS_2 := $(filter-out $(CHECKPOINTS_1),$(wildcard $(CHECKPOINTS)/test_*.py))
# Tests of the training that need torch (`importorskip`).
TORCH_TESTS := $(shell grep --files-with-matches 'importorskip."torch"' tests/training/*.py)
RAY := tests/engine/ray
CHECKED := src tests training bench docs
# What Debian's packages ask whether they may start a service.
POLICY := /usr/sbin/policy-rc.d
SERVER_TESTS := tests/server/ tests/storage/ tests/test_disconnect.py
UNIT_TESTS := $(filter-out tests/__pycache__/ tests/clients/ tests/training/,$(wildcard tests/*/)) $(wildcard tests/test_*.py)

.DEFAULT_GOAL := help
.PHONY: help serve check test test-server test-checkpoints-1 test-checkpoints-2 test-ray test-deps unit-server unit-engine lowest lint prose format bench soak soak-cluster audit smoke clean

help:
	@echo "make serve      install into $(VENV) and serve on http://$(HOST):$(PORT)"
	@echo "make check      lint, types, prose and unit tests: under a minute"
	@echo "make test       lint, types, prose and all tests but the soak"
	@echo "make test-deps  install what some tests need and pip cannot give (apt-get, as root)"
	@echo "make lowest     unit tests with the lowest versions that pyproject.toml allows"
	@echo "make lint       lint, types and prose only"
	@echo "make prose      the English of documentation, docstrings and messages"
	@echo "make format     format the code"
	@echo "make bench      measure latency and throughput"
	@echo "make soak       the tests that take minutes, with their time limits"
	@echo "make soak-cluster  failures in a Ray cluster, with their time limits"
	@echo "make smoke      train the bundled model at the smallest size"
	@echo "make audit      known vulnerabilities of the pinned dependencies"
	@echo "make clean      remove $(VENV) and caches"

serve: $(VENV)/base.stamp
	@exec $(BIN)/daguerre serve --host $(HOST) --port $(PORT)

# No test here starts a process, a browser or a database server (marker `process`, tests/conftest.py).
check: $(VENV)/test.stamp
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target lint unit-server unit-engine

unit-server: $(VENV)/test.stamp
	$(BIN)/pytest -q -m "not process and not slow and not soak" -o cache_dir=.pytest_cache/server $(SERVER_TESTS)

unit-engine: $(VENV)/test.stamp
	$(BIN)/pytest -q -m "not process and not slow and not soak" -o cache_dir=.pytest_cache/engine $(filter-out $(SERVER_TESTS),$(UNIT_TESTS))

# The reference pages are made with the pinned version of click, which formats them.
lowest: $(VENV)/lowest.stamp
	$(VENV)/lowest/bin/pytest -q -m "not process and not slow and not soak" $(UNIT_TESTS) \
		--deselect tests/test_docs.py::test_reference_pages_are_current

# Tests whose program, browser or database is missing are skipped and say why: see test-deps.
# Three suites run at the same time, those of the checkpoints at a lower priority.
test: lint $(VENV)/litellm.stamp $(VENV)/langchain.stamp $(VENV)/diffusers.stamp $(VENV)/ray.stamp $(NODE_CLIENTS) $(AXE)
	@echo "Running three test suites at a time; the output of each appears at its end"
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target test-server test-checkpoints-1 test-checkpoints-2 test-ray

test-server: $(VENV)/test.stamp
	$(BIN)/pytest -m "not soak" -o cache_dir=.pytest_cache/server

test-checkpoints-1: $(VENV)/diffusers.stamp
	nice -n 5 $(VENV)/diffusers/bin/pytest -m "not soak" -o cache_dir=.pytest_cache/checkpoints-1 $(CHECKPOINTS_1)

test-checkpoints-2: $(VENV)/diffusers.stamp
	nice -n 5 $(VENV)/diffusers/bin/pytest -m "not soak" -o cache_dir=.pytest_cache/checkpoints-2 $(CHECKPOINTS_2) \
		$(TORCH_TESTS)

test-ray: $(VENV)/ray.stamp
	nice -n 5 $(VENV)/ray/bin/pytest -m "not soak" -o cache_dir=.pytest_cache/ray $(RAY)

# Chromium for the playground's tests; promtool for the alerts; PostgreSQL, nginx and HAProxy, of which the
# tests start servers of their own. No package must start a service: of prometheus, only promtool is unpacked.
test-deps:
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends chromium postgresql-common
	sed -i 's/^#* *create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
	DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends postgresql
	[ -e $(POLICY) ] || { printf '#!/bin/sh\nexit 101\n' > $(POLICY); chmod 755 $(POLICY); trap 'rm $(POLICY)' EXIT; }; \
	DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends nginx haproxy
	command -v promtool >/dev/null || (set -e; cd "$$(mktemp -d)"; apt-get download -qq prometheus; \
		dpkg-deb --fsys-tarfile prometheus_*.deb | tar --extract --to-stdout ./usr/bin/promtool > /usr/local/bin/promtool; \
		chmod 755 /usr/local/bin/promtool; rm prometheus_*.deb)

lint: $(VENV)/test.stamp
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/mypy
	$(BIN)/python docs/prose.py

prose: $(VENV)/test.stamp
	$(BIN)/python docs/prose.py

format: $(VENV)/test.stamp
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)

bench: $(VENV)/test.stamp
	$(BIN)/python -m bench

soak: $(VENV)/test.stamp $(VENV)/diffusers.stamp
	$(BIN)/pytest -m soak
	$(VENV)/diffusers/bin/pytest -m soak $(CHECKPOINTS)

soak-cluster: $(VENV)/ray.stamp
	$(VENV)/ray/bin/python -m bench.soak.cluster
	$(VENV)/ray/bin/python -m bench.soak.ray_hosts

# Needs npm, for the art. Uses its own environment in training/.venv.
smoke:
	SMOKE=1 PYTHON="$(PYTHON)" training/run.sh

# Strict: a package that cannot be looked up is an error. The list is complete, so pip resolves nothing.
audit: $(VENV)/audit.stamp
	@$(VENV)/audit/bin/pip-audit --strict --no-deps --disable-pip $(AUDIT) --requirement constraints.txt || { \
		echo "Either vulnerabilities are listed above, or packages could not be looked up, and then none was checked:"; \
		echo "mirrors of the package index lack that service. To use another one: make audit AUDIT='--vulnerability-service osv'"; \
		exit 1; } >&2

clean:
	rm -rf $(VENV) $(CLIENTS)/node_modules $(PLAYGROUND)/node_modules build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit("daguerre needs Python 3.11 to 3.13, and $(PYTHON) is " + sys.version.split()[0] + "; name another one: make serve PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# The stamps make pip run only when its inputs have changed.
$(VENV)/base.stamp: $(INPUTS) | $(BIN)/python
	@echo "Installing daguerre into $(VENV)"
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/test.stamp: $(INPUTS) | $(BIN)/python
	@echo "Installing daguerre and its test tools into $(VENV)"
	@$(PIP) install --constraint constraints.txt --editable '.[test]'
	@touch $@ $(VENV)/base.stamp

# Clients for the tests. Their versions conflict with the server's, so each has its own environment.
# Each list is complete, so pip resolves nothing.
$(VENV)/litellm.stamp $(VENV)/langchain.stamp: $(VENV)/%.stamp: $(CLIENTS)/%.txt | $(BIN)/python
	@echo "Installing $* into $(VENV)/$*"
	@$(BIN)/python -m venv --clear $(VENV)/$*
	@$(VENV)/$*/bin/python -m pip --quiet --disable-pip-version-check install --no-deps --requirement $<
	@touch $@

$(VENV)/lowest.stamp: $(INPUTS) .ci/lowest.py | $(BIN)/python
	@echo "Installing daguerre with its lowest dependencies into $(VENV)/lowest"
	@$(BIN)/python -m venv --clear $(VENV)/lowest
	@$(BIN)/python .ci/lowest.py > $(VENV)/lowest/constraints.txt
	@PIP_BUILD_CONSTRAINT=constraints.txt $(VENV)/lowest/bin/python -m pip --quiet --disable-pip-version-check install --constraint $(VENV)/lowest/constraints.txt --editable '.[test]'
	@touch $@

$(VENV)/audit.stamp: audit.txt | $(BIN)/python
	@echo "Installing pip-audit into $(VENV)/audit"
	@$(BIN)/python -m venv --clear $(VENV)/audit
	@$(VENV)/audit/bin/python -m pip --quiet --disable-pip-version-check install --no-deps --requirement $<
	@touch $@

# A separate environment with the extras for checkpoints, so the other tests show that nothing else needs them.
$(VENV)/diffusers.stamp: $(INPUTS) | $(BIN)/python
	@echo "Installing daguerre and its extras for checkpoints into $(VENV)/diffusers"
	@$(BIN)/python -m venv $(VENV)/diffusers
	@PIP_BUILD_CONSTRAINT=constraints.txt $(VENV)/diffusers/bin/python -m pip --quiet --disable-pip-version-check install --constraint constraints.txt --editable '.[diffusers,quantization,gguf,test]'
	@touch $@

# Another one with Ray, whose dependencies nothing else needs.
$(VENV)/ray.stamp: $(INPUTS) | $(BIN)/python
	@echo "Installing daguerre and its extra for Ray into $(VENV)/ray"
	@$(BIN)/python -m venv $(VENV)/ray
	@PIP_BUILD_CONSTRAINT=constraints.txt $(VENV)/ray/bin/python -m pip --quiet --disable-pip-version-check install --constraint constraints.txt --editable '.[ray,test]'
	@touch $@

$(PLAYGROUND)/node_modules/.stamp: $(PLAYGROUND)/package.json $(PLAYGROUND)/package-lock.json
	@echo "Installing the accessibility checker into $(PLAYGROUND)/node_modules"
	@npm ci --prefix $(PLAYGROUND) --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(CLIENTS)/node_modules/.stamp: $(CLIENTS)/package.json $(CLIENTS)/package-lock.json
	@echo "Installing the Node clients into $(CLIENTS)/node_modules"
	@npm ci --prefix $(CLIENTS) --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
