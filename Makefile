# make demo: super-resolve ./demo into ./output.  make test: lint and tests.
# Both set up .venv first; VENV=DIR uses the environment in DIR as it is.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN = $(VENV)/bin
given := $(filter-out file undefined default,$(origin VENV))
ready := $(if $(given),$(wildcard $(BIN)/python))

.PHONY: demo test setup

demo: setup
	$(BIN)/python demo.py -i ./demo -o ./output

test: setup
	$(BIN)/python -m ruff check .
	$(BIN)/python -m pytest

setup: $(if $(ready),,$(VENV)/.installed)

$(VENV)/.installed: requirements-base.txt requirements.txt requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
