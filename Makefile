# Two commands to start with: `make demo` and `make test`. Each makes .venv first; nothing but Python ≥ 3.11 and pip is needed.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := cpu,worker,embedded,datasets,demo,pretraining,test
STAMP := $(VENV)/.installed
PIP_INSTALL := pip install --disable-pip-version-check --progress-bar off --quiet
BENCHMARKS = $(patsubst benchmarks/%.py,%,$(filter-out benchmarks/_%,$(wildcard benchmarks/*.py)))
DEMO ?= recording
DEMO_FLAGS := $(if $(filter synthetic,$(DEMO)),--synthetic)
TESTS ?= tests

# ONNX Runtime would otherwise report its use to its maker.
export ORT_DISABLE_TELEMETRY := 1

# The processes share the cores: threads that spin while they wait would take them from each other.
test coverage: export OMP_NUM_THREADS ?= 1
test coverage: export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help install demo test lint format bench coverage images browser vendor lock clean

help:
	@echo "make demo                 the main job on a real recording (DEMO=synthetic: no download)"
	@echo "make test                 all tests (TESTS=tests/models: some of them)"
	@echo "make lint                 ruff, mypy, import contracts"
	@echo "make bench                the measurements of docs/science.md"
	@echo "make coverage             all tests, with branch coverage"
	@echo "make images               build the images with buildah, as root, and go through the main job in them"
	@echo "make browser              Chromium, for the tests of the dashboard, where root may install it"
	@echo "make vendor               fetch with npm what is served of others, and compare"
	@echo "make install              only .venv; the other commands make it when they need it"
	@echo "make lock                 write constraints.txt anew"

install: $(STAMP)

# A half-made environment has no stamp, and one of other dependencies an old one: pip brings both to the constraints.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "RigFuse needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Making $(VENV) (a few minutes; torch is the largest part) ..."
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "python could not make $(VENV); on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/$(PIP_INSTALL) -c constraints.txt -e ".[$(EXTRAS)]"
	@touch $@

demo: $(STAMP)
	$(BIN)/rigfuse demo --output demo-output $(DEMO_FLAGS)

test: $(STAMP) browser
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(TESTS)

coverage: $(STAMP) browser
	$(BIN)/pytest --cov --cov-report=term-missing:skip-covered

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	@for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name || exit 1; done

images: $(STAMP)
	$(BIN)/python -m tests.e2e.check_images

browser: $(STAMP)
	@$(BIN)/python tests/e2e/chromium.py

vendor:
	$(PYTHON) -m tests.vendored

# What pip resolves today for all extras. onnxruntime-gpu takes the place of onnxruntime in one environment and is
# released with it, so its line is derived; local version labels (torch's +cpu) are dropped. Motions need Python 3.11.
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/$(PIP_INSTALL) ".[$(EXTRAS),motions]"
	@{ echo "# The versions that RigFuse is tested with, for all extras. Written by \`make lock\`; do not edit by hand."; \
	   build/lock/bin/pip freeze --all --exclude pip --exclude rigfuse \
	   | sed -E 's/\+[a-z0-9.]+$$//; s/^onnxruntime==(.*)/&\nonnxruntime-gpu==\1/'; } > constraints.txt
	rm -rf build/lock

clean:
	rm -rf $(VENV) build demo-output .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage
