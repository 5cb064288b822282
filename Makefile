# `make` lists the targets. Needs make, a Python of 3.11 or 3.12, and what `make setup` says is missing.
PROFILE ?= quick
ENV ?= .venv
JOBS ?= 2
PY := $(ENV)/bin/python
STAMP := $(ENV)/.setup-stamp.json
SETUP_INPUTS := requirements.txt requirements/openmmlab.txt requirements/gpu.txt requirements/constraints.txt \
                tools/environment.py tools/steps.py tools/install.py

# The Python that runs set-up: the environment's own where there is one, else the first that fits and really starts.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
define run_setup
	@for python in $(or $(PYTHON),$(PY) python3.11 python3.12 python3 python); do \
	  if $$python -c '$(FITS)' 2>/dev/null; then \
	    exec $$python tools/install.py --env "$(ENV)" --gpu "$(GPU)" $(if $(CUDA_OPS),--cuda-ops); fi; done; \
	echo "No Python 3.11 or 3.12 found. Install one, or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 1
endef

.DEFAULT_GOAL := help
.PHONY: help setup report smoke test lab bench lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with everything in it (GPU=1: with TensorRT; ENV=path: another environment, such as conda's)
	$(run_setup)

# Costs nothing while no input is newer than the stamp.
$(STAMP): $(SETUP_INPUTS)
	$(run_setup)

report: $(STAMP) ## run the seven notebooks and make the page (PROFILE=smoke, quick or full; quick takes minutes)
	@mkdir -p reports/runs && touch reports/runs/.started; status=0; \
	$(PY) -m pose_utils report --profile $(PROFILE) $(ARGS) || status=$$?; \
	page=$$(find reports/latest/ -maxdepth 1 -name '*.html' -newer reports/runs/.started 2>/dev/null | head -n 1); \
	if [ -n "$$page" ]; then echo "The page: $(CURDIR)/$$page"; fi; exit $$status

smoke: ## the same with the smallest settings, to see that all seven run
	@$(MAKE) --no-print-directory report PROFILE=smoke

test: $(STAMP) ## run the tests; skipped ones are listed with their reason (ARGS='-k name' passes options on)
	$(PY) -m pytest -n $(JOBS) --dist loadfile --max-worker-restart 0 $(ARGS)

lab: $(STAMP) ## open JupyterLab on the notebooks (ARGS=--no-browser passes options on)
	$(PY) -m jupyterlab --ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/notebooks $(ARGS)

bench: $(STAMP) ## time this machine's runtimes and precisions (ARGS passes options on)
	$(PY) -m pose_utils bench $(ARGS)

lint: $(STAMP) ## check the style with ruff
	$(PY) -m ruff check .

clean: ## remove caches of Python, tests and linter (RUNS=1: also reports/runs); keeps .venv
	find . -path ./.venv -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -print0 | xargs -0 rm -rf
	rm -rf .pytest_cache .ruff_cache .hypothesis *.egg-info build
	$(if $(RUNS),rm -rf reports/runs reports/latest)
