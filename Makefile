# `make` alone lists what there is. Only Python (3.10 or later) and make are needed; everything else goes into
# .venv-light (upscaling, no PyTorch) or .venv (training and tests), each made the first time it is needed.

PYTHON ?= python3
VENV := .venv
LIGHT := .venv-light
PYTEST_ARGS ?=

# Tests run in as many processes as there are cores, but each takes about 1 GB. Of two settings the later counts:
# PYTEST_ARGS="-n 0" runs them in this one.
PYTEST := -m pytest -n logical --maxprocesses 4 --dist worksteal

# Values reach the shell through the environment, so that spaces and quotes in a path survive.
export IMAGE OUT MODEL CONFIG PYTEST_ARGS SPHINX_ARGS

.DEFAULT_GOAL := help
.PHONY: help upscale test check lint types test-fast coverage docs docs-pages prose format train clean

help: ## list these targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1|/' \
		| while IFS='|' read -r target text; do printf '%-18s %s\n' "$$target" "$$text"; done

upscale: $(LIGHT)/.ready ## restore a photo x4: make upscale IMAGE=photo.jpg [OUT=restored.png] [MODEL=name]
	@test -n "$$IMAGE" || { echo "make upscale: say which photo, e.g. make upscale IMAGE=photo.jpg" >&2; exit 2; }
	@$(LIGHT)/bin/blindsr upscale "$$IMAGE" $${OUT:+-o "$$OUT"} $${MODEL:+--model "$$MODEL"}

test: $(VENV)/.ready-test ## run all tests (first builds .venv: PyTorch and what the tests need)
	$(VENV)/bin/python $(PYTEST) $$PYTEST_ARGS

check: lint types test-fast ## format, lint, types and the fast tests, as before a commit

lint: $(VENV)/.ready-dev ## formatting and lint, changing nothing
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .

types: $(VENV)/.ready-dev ## mypy, strict, on src and tests
	$(VENV)/bin/mypy

test-fast: $(VENV)/.ready-dev
	$(VENV)/bin/python $(PYTEST) -m "not slow" $$PYTEST_ARGS

coverage: $(VENV)/.ready-dev ## which lines no fast test runs: listed, and shown in htmlcov/
	$(VENV)/bin/python $(PYTEST) -m "not slow" --cov --cov-report=term --cov-report=html $$PYTEST_ARGS

docs: $(VENV)/.ready-docs ## the site, build/docs/index.html: runs the examples with pictures, knows no network
	MPLBACKEND=Agg $(VENV)/bin/python -m sphinx -W --keep-going -q -b html $$SPHINX_ARGS docs build/docs
	$(VENV)/bin/python docs/site/check_links.py build/docs

docs-pages: $(VENV)/.ready-docs ## the same without running the examples
	MPLBACKEND=Agg $(VENV)/bin/python -m sphinx -W --keep-going -q -b html -D plot_gallery=0 docs build/docs-pages
	$(VENV)/bin/python docs/site/check_links.py build/docs-pages

prose: $(VENV)/.ready-docs ## plain English in README and docs
	$(VENV)/bin/proselint check --config docs/site/proselint.json README.md CONTRIBUTING.md CHANGELOG.md docs/*.md docs/results/*.md
	$(VENV)/bin/python -m pytest -n 0 tests/documentation/test_words.py

format: $(VENV)/.ready-dev ## format, and mend what ruff can mend
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

train: $(VENV)/.ready-test ## train a model: make train CONFIG=configs/cmdsr_x4.yaml
	@test -n "$$CONFIG" || { echo "make train: say which recipe, e.g. make train CONFIG=configs/cmdsr_x4.yaml" >&2; exit 2; }
	@$(VENV)/bin/blindsr train "$$CONFIG"

clean: ## remove both environments and everything the tools cached
	rm -rf $(VENV) $(LIGHT) build dist docs/generated docs/examples htmlcov .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .cache
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

# --- environments; a stamp is older than these files exactly when it must be brought up to date -----------------

define make_venv
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	|| { echo "blindsr needs Python 3.10 or later; name one: make PYTHON=python3.12 ..." >&2; exit 2; }
@test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
endef

PIP_INSTALL := -m pip install --disable-pip-version-check -q -c constraints.txt

$(LIGHT)/.ready: pyproject.toml constraints.txt
	$(call make_venv,$(LIGHT))
	@echo "installing blindsr into $(LIGHT) (once)" >&2
	@$(LIGHT)/bin/python $(PIP_INSTALL) -e .
	@touch $@

# PyTorch goes first and alone, exactly as pinned: left to a resolver it may come as a build of several gigabytes.
$(VENV)/.ready-test: pyproject.toml constraints.txt
	$(call make_venv,$(VENV))
	@echo "installing blindsr, PyTorch and the test tools into $(VENV) (once)" >&2
	@$(VENV)/bin/python $(PIP_INSTALL) "$$(grep '^torch==' constraints.txt)"
	@$(VENV)/bin/python $(PIP_INSTALL) -e '.[test]'
	@touch $@

$(VENV)/.ready-docs: $(VENV)/.ready-test
	@echo "installing Sphinx and its theme into $(VENV) (once)" >&2
	@$(VENV)/bin/python $(PIP_INSTALL) -e '.[docs]'
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready-test
	@echo "installing ruff, mypy and pre-commit into $(VENV) (once)" >&2
	@$(VENV)/bin/python $(PIP_INSTALL) -e '.[dev]'
	@touch $@
