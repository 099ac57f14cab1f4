# make train and make test do everything on a fresh machine; the first one installs into .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup train test check docs format bench release-check
help:
	@echo "make train   install, then train the default model on synthetic data (about a minute or two)"
	@echo "make test    install, then run the tests"
	@echo "make check   install, then check format, style and types"
	@echo "make docs    install, then build the documentation into docs/_build (about a minute)"
	@echo "make format  put the code into the format that make check wants"
	@echo "make bench   install, then time what is meant to be fast"
	@echo "make setup   install only"
	@echo "make release-check  build the distribution and try it in clean environments; nothing is uploaded"

setup: .venv/installed

# Installed once, and again only when what is to be installed changes. Bytecode is made on all cores, of what is not
# tests: pip would use one.
.venv/installed: pyproject.toml constraints.txt
	@echo "installing into .venv; the first time this takes about two minutes"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' .venv/lib || true
	touch $@

train: setup
	$(BIN)/spanloc-train

# A process for every core, each with one thread; the tests of a file share what they have trained. In the
# order of the folders, so that the last files are short ones. Bytecode is kept whatever the environment says:
# without it every process, of the tests and of the commands that they start, would compile all files anew.
test: setup
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Runs the tutorials, which train small models, again after a change of the package. A link to nowhere is an error.
docs/auto_tutorials: $(shell find spanloc configs -name '*.py' -o -name '*.yaml')
	rm -rf $@

docs: setup docs/auto_tutorials
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build

format: setup
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python scripts/benchmark.py

release-check:
	scripts/release_check.sh
