# Everything happens in .venv of this checkout; nothing is installed elsewhere.
#
#   make demo       install, then run the main scenario
#   make test       quick tests, without torch      make test-all   with the slow ones and training (torch)
#   make install    .venv with .venv/bin/tlm        make lint       ruff, mypy
#   make warnings   C warnings as errors            make sanitize   kernels under the sanitizers
#   make mutations  one rule of time broken after the other: does the suite notice?
#   make wheel      dist/*.whl, dist/*.tar.gz       make develop    install what the tests need
#   make docs       build/site: the documentation   make arm        the kernels on an emulated 64-bit Arm
#   make clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= auto
DEMO := scenarios/resnet18_3of9.toml
KERNEL_TESTS := $(wildcard tests/chip/kernels/test_*.py)

# The editable install lists the packages that there are, so a new one calls for another.
BUILD_INPUTS := pyproject.toml CMakeLists.txt $(wildcard kernels/* tlm/*/__init__.py)
C_WARNINGS := -std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
REPLAY := -std=c11 -Wall -Wextra -Werror -Ibuild/arm -Ikernels tests/support/replay.c $(wildcard kernels/*.c)
ARM_CC := aarch64-linux-gnu-gcc
ARM_RUN := qemu-aarch64
# Without compiling all that is installed: most of it is never imported, and what is, Python compiles then.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
PYTEST := $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal

# Without bytecode files every process of a test would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install develop demo docs test test-slow test-all lint warnings sanitized sanitize arm mutations wheel clean check-tools
.DEFAULT_GOAL := install

install: $(VENV)/installed

develop: $(VENV)/installed-all

demo: install
	$(BIN)/tlm run $(DEMO)

# Tests of training need torch and those of the circuit Verilator: they are part of test-all.
test: $(VENV)/installed-test
	$(PYTEST) -m "not slow" --ignore=tests/training --ignore=tests/chip/rtl --ignore=tests/hardware

# What `make test` leaves out, and its random tests with all their examples. One run: none waits for another's last test.
test-slow: $(VENV)/installed-all
	$(PYTEST) -m "slow or thorough or extra" --hypothesis-profile=thorough --durations=60 --durations-min=5

test-all: test test-slow

lint: $(VENV)/installed-all
	$(BIN)/ruff check .
	$(BIN)/mypy

warnings:
	@for source in kernels/*.c; do echo "$(CC) -Werror $$source"; $(CC) $(C_WARNINGS) -Werror -O2 -Ikernels -c $$source -o /dev/null || exit 1; done

# Kernels that abort on the first bad access or undefined operation.
sanitized: $(VENV)/installed-test
	$(BIN)/python -m cmake -S . -B build/sanitize -DTLM_SANITIZE=ON -DTLM_WERROR=ON -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python
	$(BIN)/python -m cmake --build build/sanitize

# The kernels' own tests once more, against those.
sanitize: sanitized
	TLM_OTHER_KERNELS=build/sanitize/_kernels.abi3.so LD_PRELOAD="$$($(CC) -print-file-name=libasan.so)" \
	  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc \
	  $(PYTEST) -p other_kernels -m "not slow" --hypothesis-profile=thorough $(KERNEL_TESTS)

# Recorded calls of every kernel have to leave the same bytes behind on this machine and on the other. The installed
# kernels have recorded them; here only the replaying is tried: -O3 takes long for all instruction sets.
arm: $(VENV)/installed
	@mkdir -p build/arm
	$(BIN)/python tests/support/recorded_kernels.py build/arm/calls.bin build/arm/calls.h
	$(CC) -O1 $(REPLAY) -o build/arm/here && build/arm/here build/arm/calls.bin >/dev/null
	$(ARM_CC) -O3 $(REPLAY) -static -o build/arm/there && $(ARM_RUN) build/arm/there build/arm/calls.bin

# Each mutation runs the tests up to the first failure; nothing in the checkout is changed.
mutations: $(VENV)/installed-all
	$(BIN)/python tests/support/mutations.py

# Searching the site needs a server: python3 -m http.server -d build/site
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

wheel: $(VENV)/installed
	$(PIP) "build>=1,<2"
	$(BIN)/python -m build --outdir dist .

clean:
	rm -rf $(VENV) build dist out .tlm-waves .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: reinstall only when something that is compiled or declared has changed (the install is an editable one).
$(VENV)/installed: $(BUILD_INPUTS) | $(VENV)/python-ok
	$(PIP) --editable .
	@touch $@

# Extras by the name of what is installed: pip adds what they need and does not build the package once more.
$(VENV)/installed-test: $(VENV)/installed
	$(PIP) "cartesian-tlm[test]"
	@touch $@

$(VENV)/installed-all: $(VENV)/installed
	$(PIP) "cartesian-tlm[test,test-all]"
	@touch $(VENV)/installed-test $@

$(VENV)/installed-docs: $(VENV)/installed
	$(PIP) "cartesian-tlm[plot,explore,docs]"
	@touch $@

$(VENV)/python-ok:
	@$(MAKE) --no-print-directory check-tools
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Names everything that is missing at once, before any work.
check-tools:
	@missing=; \
	if ! command -v $(PYTHON) >/dev/null 2>&1; then \
	  missing="$$missing\n  $(PYTHON) (Debian: python3)"; \
	elif ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	  missing="$$missing\n  Python 3.11 or newer: $(PYTHON) is $$($(PYTHON) -V 2>&1); choose another with: make PYTHON=python3.12"; \
	else \
	  $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || missing="$$missing\n  Python's venv (Debian: python3-venv)"; \
	  $(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' \
	    || missing="$$missing\n  Python's C headers (Debian: python3-dev)"; \
	fi; \
	command -v $(firstword $(CC)) >/dev/null 2>&1 || missing="$$missing\n  a C compiler, $(CC) (Debian: gcc libc6-dev)"; \
	if [ -n "$$missing" ]; then printf "cartesian-tlm needs what this machine lacks:$$missing\n" >&2; exit 1; fi
