# The two commands of the README, and what they call. `make demo` and `make test` need nothing but Python 3.11+ and Git.
.DEFAULT_GOAL := help
.PHONY: help demo test check docs bench clean

# The first interpreter that is new enough and can make environments.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	if $$p -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo $$p; break; fi; done)
BIN := .venv/bin
# gto brings forty packages and their upper bounds, so it has an environment of its own; where it cannot be had, its tests are skipped.
GTO = "$$(ls "$(CURDIR)/.venv-gto/bin/gto" 2>/dev/null)"

help:
	@echo "make demo   set up, fetch the embedded model, run the shipped suites on its two versions, write reports/"
	@echo "make test   set up and run all tests, then the suites under the pytest plugin"
	@echo "make check  format, lint, types, architecture"
	@echo "make docs   regenerate the generated pages"
	@echo "make bench  the benchmarks (ratios against a floor in the same run)"

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "promptreg needs Python 3.11 or newer with venv (Debian: apt install python3-venv)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

.venv/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[local,text]"
	@touch $@

.venv/.developing: pyproject.toml .venv/.installed
	$(BIN)/python -m pip install --quiet --editable ".[local,text]" --group dev
	@touch $@

.venv/.gto: | $(BIN)/python
	@$(BIN)/python -m venv --clear .venv-gto && .venv-gto/bin/python -m pip install -qq "gto>=1.9,<2" \
		&& touch $@ || { rm -rf .venv-gto; echo "gto cannot be installed here: tests that compare with it will be skipped"; }

demo: .venv/.installed
	@$(BIN)/promptreg models pull smollm2-135m-instruct
	@mkdir -p reports
	$(BIN)/promptreg run --report reports/run.md --report reports/run.html

test: .venv/.developing .venv/.gto
	$(BIN)/promptreg models pull smollm2-135m-instruct --quiet
	GTO=$(GTO) $(BIN)/python -m pytest -n 2
	@$(if $(PROMPTREG_SKIP_MODEL),echo "PROMPTREG_SKIP_MODEL is set: the suites are not run",$(BIN)/python -m pytest --promptreg suites)

check: .venv/.developing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py

docs: .venv/.developing
	$(BIN)/python docs/generate.py

bench: .venv/.developing .venv/.gto
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/runtime.py
	$(BIN)/python benchmarks/check.py
	$(BIN)/python benchmarks/pytest_plugin.py
	GTO=$(GTO) $(BIN)/python benchmarks/registry.py

clean:
	rm -rf .venv .venv-gto .promptreg reports build dist
