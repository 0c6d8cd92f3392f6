# Two commands on a fresh machine: `make demo` and `make test`. Each sets up what it needs in .venv.
PYTHON ?= python3
VENV := .venv
COMPAT := .venv-compat
BIN := $(VENV)/bin
# Modules are compiled once, and not by each of the processes that tests start, whatever the shell says.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/pytest
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: browser demo test test-compat test-trainers check format docs wheels bench clean
.DEFAULT_GOAL := help

help:  ## show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

# One stamp for each extra; a change of the dependencies installs anew.
$(VENV)/.installed-%: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[$*]'
	@touch $@

demo: $(VENV)/.installed-local,report  ## make a small collection with the embedded model and look at it
	$(BIN)/multifaceted model install
	$(BIN)/multifaceted generate examples/demo.yaml --run demo/run
	$(BIN)/multifaceted build demo/run --out demo/multifaceted_collection
	$(BIN)/multifaceted report demo/run --out demo/report
	cd demo && ../$(BIN)/python ../examples/show_collection.py

test: $(VENV)/.installed-dev  ## run the tests
	$(PYTEST)

$(COMPAT)/.installed: constraints-compat.txt
	$(PYTHON) -m venv --clear $(COMPAT)
	$(COMPAT)/bin/pip install --quiet --disable-pip-version-check --requirement constraints-compat.txt
	@touch $@

test-compat: $(VENV)/.installed-dev $(COMPAT)/.installed  ## load built folders with datasets 3.6, and by mlcroissant
	rm -rf $(COMPAT)/folders
	$(BIN)/python tests/compat/make_folders.py $(COMPAT)/folders
	HF_HUB_OFFLINE=1 MULTIFACETED_COMPAT_FOLDERS=$(COMPAT)/folders \
		$(COMPAT)/bin/python -m pytest -c tests/compat/pytest.ini tests/compat

# Page tests need one. Debian's is installed where this may be done, and else those tests say that they were skipped.
browser:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		echo "installing chromium for the page tests" && \
		timeout 20 apt-get update -qq -o Acquire::Retries=0 -o Acquire::http::Timeout=5 && \
		DEBIAN_FRONTEND=noninteractive timeout 90 apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
		echo "no chromium here: page tests are skipped"

check: $(VENV)/.installed-dev browser  ## what CI runs: format, lint, types, tests, the documentation's code blocks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST)

format: $(VENV)/.installed-dev  ## format the code and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.installed-docs  ## build the documentation into site/
	$(BIN)/mkdocs build --strict

# axolotl and OpenRLHF come without what they need to train on a GPU: their loading code is what is tested.
.venv-trainers/.installed: PIP = .venv-trainers/bin/pip install --quiet --disable-pip-version-check \
	--constraint constraints.txt --constraint constraints-trainers.txt
.venv-trainers/.installed: pyproject.toml constraints.txt constraints-trainers.txt
	$(PYTHON) -m venv .venv-trainers
	$(PIP) --editable '.[trainers]' pytest pytest-xdist
	-$(PIP) addict colorama numba peft pillow posthog pylatexenc
	-$(PIP) --no-deps axolotl
	-$(PIP) --no-deps openrlhf
	@touch $@

# A process for each file: axolotl changes libraries that TRL uses.
test-trainers: .venv-trainers/.installed  ## train on the exports with TRL, load them with axolotl and OpenRLHF
	for file in tests/trainers/test_*.py; do .venv-trainers/bin/pytest -n0 $$file || exit 1; done

# Of Linux, where nobody should need a compiler; other Pythons need not be there.
wheels: $(VENV)/.installed-dev  ## see that everything installs from wheels alone, on every Python
	for python in 3.11 3.12 3.13 3.14; do \
		$(BIN)/python .ci/list_requirements.py $$python local,report,semantic,proxy,dev > $(VENV)/wanted.txt && \
		$(BIN)/pip install --quiet --dry-run --disable-pip-version-check --only-binary=:all: --ignore-installed \
			--python-version $$python --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 \
			--target $(VENV)/nowhere --constraint constraints.txt --requirement $(VENV)/wanted.txt && \
		echo "Python $$python: every requirement has a wheel" || exit 1; \
	done

bench: $(VENV)/.installed-dev  ## measure, and print one table
	$(BIN)/python benchmarks/run.py

clean:  ## remove what was made here
	rm -rf $(VENV) $(COMPAT) .venv-trainers demo site
