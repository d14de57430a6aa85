# `make help` says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
PREFIX ?= /opt/dicom-node
DESTDIR ?=
DICOM ?=
WHEELHOUSE ?=
PYTEST_ARGS ?=
SEED ?= 1
ROUNDS ?= 300
TRIES ?= 100000
INSTANCES ?= 50000
FUZZ_SECONDS ?= 60
override WHEELHOUSE := $(if $(WHEELHOUSE),$(abspath $(WHEELHOUSE)))
export PYTHON TORCH_ARGS PIP_ARGS WHEELHOUSE PREFIX DESTDIR RELEASE

ifeq ($(strip $(VENV)),)
$(error VENV is empty: name the folder of the virtual environment)
endif

# An environment is made anew only when what it is made of changes.
PINS := $(shell cat pyproject.toml constraints.txt .ci/environment | sha256sum | cut -c1-16)
TEST_STAMP := $(VENV)/.installed-test-$(PINS)
RUN_STAMP := $(VENV)/.installed-run-$(PINS)
BIN := $(VENV)/bin

.PHONY: help
help: ## this list
	@echo "make [VARIABLE=value …] target"; echo
	@sed -nE 's/^([a-z-]+):.*## (.*)$$/  \1|\2/p' Makefile | while IFS='|' read -r target text; do printf '  %-14s %s\n' "$$target" "$$text"; done
	@echo; echo "Variables:"
	@echo "  PYTHON      a Python 3.11 or newer, where python3 is older"
	@echo "  TORCH_ARGS  options of pip for torch alone, such as an index of CPU-only wheels (docs/installation.md)"
	@echo "  PIP_ARGS    options of pip for everything"
	@echo "  WHEELHOUSE  a folder of wheels to install from, without a network"
	@echo "  PREFIX      where the service is installed [$(PREFIX)]; DESTDIR: a root folder in front of it"
	@echo "  DICOM       a folder with a CT study for the demo; PYTEST_ARGS: options of pytest"
	@echo "  SEED        of make chaos, soak and fuzz; ROUNDS: kills of make chaos; TRIES, INSTANCES: of make soak; FUZZ_SECONDS: for each target"

$(TEST_STAMP):
	@.ci/environment $(VENV) --editable test
	@rm -f $(VENV)/.installed-*; touch $@

$(RUN_STAMP):
	@.ci/environment $(VENV) --editable
	@rm -f $(VENV)/.installed-*; touch $@

.PHONY: demo
demo: $(firstword $(wildcard $(TEST_STAMP)) $(RUN_STAMP)) ## a PACS, the node and a study: [DICOM=folder], else a synthetic thorax
	@$(BIN)/dicom-node demo $(if $(DICOM),"$(DICOM)")

.PHONY: test
test: packages check pytest ## everything a change must pass: check and the tests

.PHONY: packages
packages: ## the programs that the tests talk to, from the distribution
	@.ci/packages

.PHONY: check
check: $(TEST_STAMP) ## format, lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

.PHONY: format
format: $(TEST_STAMP) ## put the code into its format
	$(BIN)/ruff check --fix . || true
	$(BIN)/ruff format .

.PHONY: pytest
pytest: $(TEST_STAMP) ## the tests alone, one process for each core: [PYTEST_ARGS=…]
	@$(BIN)/pytest -m "not slow" -n $$(nproc) --dist worksteal $(PYTEST_ARGS) || { code=$$?; [ $$code -ne 5 ] || echo "pytest found no test: that cannot be right" >&2; exit $$code; }

.PHONY: conformance
conformance: packages $(TEST_STAMP) ## the long tests: every judge on every variant, kill -9 at random, viewers
	@$(BIN)/pytest -m slow $(PYTEST_ARGS) || { code=$$?; [ $$code -eq 5 ] && echo "no test is marked slow" || exit $$code; }

.PHONY: chaos
chaos: $(TEST_STAMP) ## kill -9, full disks, aborts, slow and idle peers, some 20 minutes: a table in docs/chaos.md [SEED=1 ROUNDS=300]
	@$(BIN)/python -W ignore -m tests.chaos --seed $(SEED) --rounds $(ROUNDS) --report docs/chaos.md

.PHONY: soak
soak: $(TEST_STAMP) ## hostile tries, then valid instances, against a running node: memory, threads, descriptors [SEED=1 TRIES= INSTANCES=]
	@$(BIN)/python -W ignore -m tests.hostile --seed $(SEED) --tries $(TRIES) --instances $(INSTANCES)

.PHONY: fuzz
fuzz: $(TEST_STAMP) ## coverage-guided fuzzing of the header reader and the receiver's parsers [SEED=1 FUZZ_SECONDS=60]
	@$(BIN)/python -c "import atheris" 2>/dev/null || $(BIN)/pip install -q $(PIP_ARGS) -c constraints.txt atheris
	@for target in header pdata command; do $(BIN)/python -W ignore -m tests.fuzz $$target --seed $(SEED) --seconds $(FUZZ_SECONDS) || exit; done

.PHONY: bench-report
bench-report: $(TEST_STAMP) ## findings to SEG and SR, beside highdicom's own SEG: a ratio
	@$(BIN)/python -W ignore -m bench.report_speed

.PHONY: evaluate
evaluate: $(TEST_STAMP) ## every shipped engine on the real cases beside the repository: a table and pictures in bench/results
	@$(BIN)/python -W ignore -m bench.evaluate_real

.PHONY: bench-inference
bench-inference: $(TEST_STAMP) ## int16 to mask beside MONAI's bundle pipeline, the same weights: ratios
	@$(BIN)/python -W ignore -m bench.inference

.PHONY: bench-receive
bench-receive: $(TEST_STAMP) ## C-STORE beside DCMTK, Orthanc, pynetdicom and bare loops, five rounds: ratios
	@$(BIN)/python -W ignore -m bench.receive

.PHONY: install
install: ## put the service into PREFIX, its units and configuration into DESTDIR/…; started by hand
	@systemd/install files
	@if [ -z "$(DESTDIR)" ]; then systemd/install activate; fi

.PHONY: activate
activate: ## finish, on the machine itself, what `make install DESTDIR=…` put into an image
	@systemd/install activate

.PHONY: uninstall
uninstall: ## remove the service; configuration and state stay
	@systemd/install remove

.PHONY: wheelhouse
wheelhouse: $(firstword $(wildcard $(TEST_STAMP)) $(RUN_STAMP)) ## all wheels of the service, for a machine without network: [WHEELHOUSE=folder]
	@WHEELHOUSE= .ci/wheelhouse $(BIN)/python "$(or $(WHEELHOUSE),wheelhouse)"

.PHONY: clean
clean: ## remove environment, caches, builds and the demo's files
	rm -rf $(VENV) build dist wheelhouse demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache ./*.egg-info
