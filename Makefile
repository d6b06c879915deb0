# Everything installs into .venv; nothing else on the machine is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TEST_ARGS ?=
# Tests start hundreds of processes: without bytecode on disk, each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

CA_FILE := import ssl; print(ssl.get_default_verify_paths().cafile or '')

.PHONY: demo test test-long test-versions check bench docs release clean

demo: $(VENV)/.demo
	$(BIN)/python examples/train_language_model.py $(DEMO_ARGS)

test: $(VENV)/.test $(VENV)/.azurite
	$(BIN)/python -m pytest -n 3 --dist worksteal $(TEST_ARGS)

# With every Python of the machine and the lowest and newest dependencies. VERSIONS_ARGS: see tests/versions.py.
test-versions: $(VENV)/.torch
	$(BIN)/python tests/versions.py $(VERSIONS_ARGS)

# Everything again, with more seeds, kills, pairings and examples: hours.
test-long: $(VENV)/.test $(VENV)/.azurite
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "long or not long" --hypothesis-profile=long --timeout=3600 $(TEST_ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/python -m pytest -q tests/test_layers.py

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/run.py $(BENCH_ARGS)

# The site, in docs/_site: every page, the reference made of docstrings, and the notebooks with what they print.
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_site

# What is published, in dist/, and its own tests.
release: $(VENV)/.test
	$(BIN)/python tests/release.py

# torch comes first and by itself: with the constraint, a small CPU build where one is offered.
$(VENV)/.torch: constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c constraints.txt torch
	touch $@

$(VENV)/.%: $(VENV)/.torch pyproject.toml
	$(PIP) install -q -c constraints.txt -e '.[$*]'
	touch $@

# The emulator that the tests on Azure run against comes from npm; without that, they are skipped. Node trusts what Python does.
$(VENV)/.azurite:
	@if ! command -v npm >/dev/null; then echo "npm is not installed: the tests that need azurite are skipped"; \
	elif NODE_EXTRA_CA_CERTS=$${NODE_EXTRA_CA_CERTS:-$$($(BIN)/python -c "$(CA_FILE)")} $(BIN)/python tests/within.py 240 \
		npm install --silent --no-audit --no-fund --prefix $(VENV)/azurite azurite@3; then touch $@; \
	else echo "azurite could not be installed: the tests that need it are skipped"; fi

clean:
	rm -rf $(VENV) $(VENV)-versions demo-out dist docs/_site .pytest_cache .hypothesis .ruff_cache
