# Every target sets the environment up first; it is made once and again when the pins change.
PYTHON3 ?= python3
VENV ?= .venv
PYTHON = $(VENV)/bin/python
PIP = $(PYTHON) -m pip install --quiet --constraint constraints.txt
READY = $(VENV)/.ready
WORKERS ?= 2

CORPUS ?= benchmarks/samples/torchvision.jsonl
TARGET ?= keras
# Of the scoreboard, all optional: JOBS=2 LIMIT=10 ONLY=regex ROOT=folder-of-checkouts CORPUS_OPTIONS="--rerun crashed"
CORPUS_OPTIONS ?=
CORPUS_ARGUMENTS = $(if $(JOBS),--jobs $(JOBS)) $(if $(LIMIT),--limit $(LIMIT)) $(if $(ONLY),--only "$(ONLY)") \
	$(if $(ROOT),--root "$(ROOT)") $(CORPUS_OPTIONS)

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: setup demo test lint format docs corpus bench speed clean
.DEFAULT_GOAL := test

setup: $(READY)

# torch goes first, at its exact version, so that nothing brings another; torchvision would ask for a newer one.
$(READY): pyproject.toml constraints.txt
	test -x $(PYTHON) || $(PYTHON3) -m venv $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) --editable ".[all,dev]"
	$(PIP) --no-deps torchvision==0.29.2
	$(PIP) pillow
	touch $@

demo: $(READY)
	$(PYTHON) -m examples.demo build/demo

test: $(READY)
	$(PYTHON) -m pytest --numprocesses $(WORKERS)
	KERAS_BACKEND=jax $(PYTHON) -m pytest --numprocesses $(WORKERS) tests/ops -k keras

lint: $(READY)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

format: $(READY)
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

docs: $(READY)
	$(PYTHON) -m netferry.ops.table docs/ops.md

corpus: $(READY)
	$(PYTHON) -m benchmarks.corpus run $(CORPUS) --to $(TARGET) $(CORPUS_ARGUMENTS)

bench: $(READY)
	$(PYTHON) -m benchmarks.stages
	$(PYTHON) -m benchmarks.memory compare

speed: $(READY)
	$(PYTHON) -m benchmarks.speed

clean:
	rm -rf build .venv .mypy_cache .pytest_cache .ruff_cache
