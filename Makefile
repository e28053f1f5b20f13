# What people and CI run. Needs make and Python 3.11 or newer; everything else goes into .venv, pinned by constraints.txt.

VENV := .venv
BIN := $(VENV)/bin
# Runtime packages only, enough for `make demo`; and the development tools on top.
RUNTIME := $(VENV)/.installed-runtime
TOOLS := $(VENV)/.installed-tools
# How many tests run at once; `make test JOBS=0` runs them one after another in one process.
JOBS ?= auto
# More for pytest, such as PYTEST="-k spool -x".
PYTEST ?=

# The build requirements are pinned as well: old pips take the first variable for them, new ones the second.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
export PIP_NO_INPUT := 1

.DEFAULT_GOAL := help
.PHONY: help demo run test test-pythons lint format docs site deb bench clean

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUNTIME)  ## Fax one mail through the whole bridge to the sandbox, and read the reply.
	@$(BIN)/mail2fax demo

run: $(RUNTIME)  ## The same, left running for your own mail client. Ctrl-C ends it.
	@$(BIN)/mail2fax demo --keep

test: lint  ## Format, lint, types, layers, and all tests, on SQLite and PostgreSQL.
	@echo "== tests"
	@.ci/postgres $(BIN)/python -m pytest -n $(JOBS) $(PYTEST)

test-pythons:  ## All tests with each newer Python that is here, in a virtual environment of its own each.
	@for python in 3.12 3.13 3.14; do \
	  command -v python$$python >/dev/null && python$$python --version >/dev/null 2>&1 || { echo "== no Python $$python here"; continue; }; \
	  echo "== Python $$python" && PYTHON=python$$python .ci/install $(VENV)/$$python '.[dev]' && \
	  .ci/postgres $(VENV)/$$python/bin/python -m pytest -n $(JOBS) $(PYTEST) || exit 1; done

lint: $(TOOLS)
	@echo "== format, lint, types, layers"
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config pyproject.toml

format: $(TOOLS)  ## Format the code and mend what ruff can mend.
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(TOOLS)  ## Write what is generated in docs/ again: settings, commands, the picture of the demo.
	@$(BIN)/python -m docs.generate

site: $(TOOLS)  ## The docs as a site, in dist/site; a link that leads nowhere fails it.
	@$(BIN)/python -m sphinx --fail-on-warning --keep-going -q -b html docs dist/site

deb: $(TOOLS)  ## Make the Debian package, in dist/, for this Debian's own Python.
	@contrib/debian/build dist

bench: $(TOOLS)  ## Measure; benchmarks/README.md says what.
	@$(BIN)/python -m benchmarks

clean:  ## Remove .venv and everything that was made.
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): pyproject.toml constraints.txt
	@.ci/install $(VENV) .
	@touch $@

$(TOOLS): pyproject.toml constraints.txt
	@.ci/install $(VENV) '.[dev]'
	@touch $@ $(RUNTIME)
