# make setup | demo | test | check | examples. Everything lives in .venv; uv makes it in seconds when its cache is warm.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3.11
BIN := .venv/bin
UV := $(shell command -v uv || echo .uv/bin/uv)
DEMO := runs/quickstart
HELDOUT := runs/quickstart-heldout
CATEGORIES := car aeroplane chair

# Torch spins when its threads outnumber the free processors; here processes work side by side, one thread each.
export OMP_NUM_THREADS := 1

.PHONY: setup system browser demo test check examples clean

setup: .venv/installed system

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet uv

.venv/installed: pyproject.toml $(if $(filter .uv/bin/uv,$(UV)),.uv/bin/uv)
	$(UV) venv --quiet --clear --python $(PYTHON) .venv
	$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --editable '.[all,dev]'
	$(UV) pip install --quiet --python $(BIN)/python --no-deps imagecorruptions==1.1.2  # for its pictures of ice
	touch $@

# Packages of the system that are $$missing: installed where that is allowed, else named with what needs them.
INSTALL = if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && apt-get install -y -qq $$missing; \
	else \
	  echo "$(1) system packages that are not installed. As root: apt-get install $$missing" >&2; exit 1; \
	fi

# The shared libraries that Blender loads.
system: .venv/installed
	@missing="$$($(BIN)/p3dgen doctor --apt)"; $(call INSTALL,Blender needs)

# What the tests look at the report's page with.
browser:
	@missing="$$(command -v chromium chromium-browser google-chrome >/dev/null || echo chromium)"; \
	$(call INSTALL,The tests of the report need)

demo: setup
	$(BIN)/p3dgen run manifests/quickstart.toml --out $(DEMO)
	$(BIN)/p3dgen run manifests/quickstart_heldout.toml --out $(HELDOUT)
	@echo "training three pose models, two at a time; logs in runs/nmm-*.log"
	printf '%s\n' $(CATEGORIES) | xargs -P 2 -I{} sh -c '$(BIN)/pose-models train \
	  --shards $(DEMO)/shards --category {} --image-size 128 --steps 600 --augment mild \
	  --out runs/nmm-{} --overwrite > runs/nmm-{}.log 2>&1'
	for category in $(CATEGORIES); do \
	  $(BIN)/pose-models evaluate --model runs/nmm-$$category --data $(HELDOUT)/shards --category $$category; \
	done
	@echo "shards:         $(DEMO)/shards"
	@echo "contact sheet:  $(DEMO)/contact_sheet.jpg"
	@echo "accuracy:       the tables above, on held-out renders"

test: setup browser
	$(BIN)/pytest -n 2 --dist worksteal

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Run the notebooks again and store their pictures.
examples: setup
	$(BIN)/jupyter execute --inplace examples/*.ipynb

clean:
	rm -rf .venv .uv .pytest_cache .mypy_cache .ruff_cache
