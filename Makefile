# make run    the demo: the agent in the foreground with examples/ applied; Ctrl-C brings it down in order
# make test   what must hold before a commit: checks, every fast floor, end to end
# make test-docker   the same for Docker, on an Engine of its own
# make wheel, deb, image   what is installed elsewhere: dist/*.whl, dist/*.deb, and a Docker image (BASE=, TAG=)
# make lock   requirements/*.txt anew after a change of pyproject.toml; UPGRADE=--upgrade takes the newest of everything
# make newest, oldest   the everyday tests with the newest, or the lowest, versions that pyproject.toml allows
# All that is installed here comes from the locks in requirements/, so that what passes today passes on any later day.
# The virtual environment makes itself, and again when a lock changes.

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
# Wheels only: what is built from source would take its build tools from wherever they are newest.
LOCKED := $(PIP) --require-hashes --only-binary=:all: --requirement
EDITABLE := $(PIP) --no-deps --no-build-isolation --editable .
# A unix socket's path holds at most 107 bytes, so a deep checkout keeps its demo state elsewhere.
STATE ?= $(shell d='$(CURDIR)/.state'; [ $${#d} -le 64 ] || d="$${XDG_RUNTIME_DIR:-/tmp}/runner-agent-demo-$$(id -u)"; echo "$$d")

.PHONY: run test test-docker check heavy bench lock newest oldest wheel wheels deb image clean
.DEFAULT_GOAL := run

run: $(VENV)/ready-to-run
	@$(VENV)/bin/runner-agent up --state-dir '$(STATE)' --workspace examples examples/automations.yaml

test: check
	scripts/test

# A Docker Engine is installed where that is possible, and started under a private folder, never the machine's.
test-docker: $(VENV)/ready-to-test
	tests/support/install-engine
	scripts/test -m docker

check: $(VENV)/ready-to-test
	scripts/check

heavy: $(VENV)/ready-to-test
	scripts/test -m 'heavy or faults'

bench: $(VENV)/ready-to-test
	$(VENV)/bin/python -m bench

lock: $(VENV)/ready-to-test
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" scripts/write-locks $(UPGRADE)

newest oldest: $(VENV)/ready-to-test
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" scripts/test-range $@

wheel: $(VENV)/ready-to-run
	PYTHON=$(VENV)/bin/python scripts/build-wheels --own dist

wheels: $(VENV)/ready-to-run
	PYTHON=$(VENV)/bin/python scripts/build-wheels

deb: wheels
	scripts/build-deb

TAG ?= runner-agent
image: wheels
	docker build $(if $(BASE),--build-arg BASE='$(BASE)') --tag $(TAG) .

clean:
	rm -rf $(VENV) .venv-* .state .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV) || { echo 'Cannot make a virtual environment: install python3-venv, then make again.' >&2; exit 1; }

$(VENV)/ready-to-run: pyproject.toml requirements/build.txt requirements/runtime.txt | $(VENV)/bin/python
	$(LOCKED) requirements/build.txt --requirement requirements/runtime.txt
	$(EDITABLE)
	@touch $@

$(VENV)/ready-to-test: pyproject.toml requirements/dev.txt | $(VENV)/bin/python
	$(LOCKED) requirements/dev.txt
	$(EDITABLE)
	@touch $@ $(VENV)/ready-to-run
