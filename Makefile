# The commands to learn: `make demo`, `make test-fast`, `make test`, `make check`. Each sets up all it needs under .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-browser test-image test-platform check check-manifests format image-requirements \
  proto proto-check bench bench-peers wheel clean

help:  ## List the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# Debian's python3 comes without ensurepip; virtualenv then does the same work. It goes into a folder of ours, since
# Debian's pip refuses to touch the system's packages or the user's (PEP 668).
$(VENV)/made:
	$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
	  $(PYTHON) -m pip install --quiet --disable-pip-version-check --target .work/virtualenv virtualenv && \
	  PYTHONPATH=.work/virtualenv $(PYTHON) -m virtualenv --quiet --clear $(VENV); }
	touch $@

$(VENV)/cpu: $(VENV)/made pyproject.toml
	$(PIP) --editable '.[cpu]'
	touch $@

$(VENV)/test: $(VENV)/made pyproject.toml
	$(PIP) --editable '.[cpu,test]'
	touch $@

$(VENV)/test-export: $(VENV)/test
	$(PIP) --editable '.[cpu,test,test-export]'
	touch $@

$(VENV)/test-browser: $(VENV)/test
	$(PIP) --editable '.[cpu,test,test-browser]'
	touch $@

# And beside the packages, the binaries of Helm and Prometheus.
$(VENV)/test-platform: $(VENV)/test tests/platform/tools.py
	$(PIP) --editable '.[cpu,test,test-platform]'
	$(BIN)/python tests/platform/tools.py $(VENV)/platform
	touch $@

# With what the exporter's tests need: mypy reads the types of torch.
$(VENV)/lint: $(VENV)/test-export
	$(PIP) --editable '.[cpu,test,test-export,lint]'
	touch $@

demo: $(VENV)/cpu  ## Judge real images over real gRPC with the embedded model
	$(BIN)/clipwarden demo
	@echo && echo 'Here, "source $(BIN)/activate" puts clipwarden on the path.'

# A file's tests run in one process, so that its fixtures are made once.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
COVER  := $(if $(filter-out 0,$(COVERAGE)),--cov --cov-report=term)

test: $(VENV)/test-export  ## Run the whole test suite; COVERAGE=1 measures coverage
	$(PYTEST) $(COVER) tests/wheel tests/parity tests/simulation tests  # the longest files first

test-fast: $(VENV)/test  ## Run the tests that need neither torch nor a wheel, nor simulate for long
	$(PYTEST) --fast

# The referee of what a file shows is Debian's own: it is where playwright's download may not be.
SUDO := $(if $(filter-out 0,$(shell id -u)),$(shell command -v sudo))

# The tables of tests/browser are of one Chromium (TAKEN_WITH); it is what is installed, while there is one.
CHROMIUM_TAKEN := $(shell sed -n 's/^TAKEN_WITH = "\(.*\)"/\1/p' tests/browser/kit.py)
APT_INSTALL     = $(SUDO) apt-get -qq install --yes --no-install-recommends

test-browser: $(VENV)/test-browser  ## Hold what is judged against what Chromium shows
	@[ -n "$$CHROMIUM" ] || command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
	  || { $(SUDO) apt-get -qq update && \
	    { $(APT_INSTALL) 'chromium=$(CHROMIUM_TAKEN)*' 'chromium-common=$(CHROMIUM_TAKEN)*' || $(APT_INSTALL) chromium; }; } \
	  || { echo 'No Chromium, and apt-get installs none here: install chromium, or name one in CHROMIUM' >&2; exit 1; }
	$(BIN)/python -m pytest tests/browser

test-platform: $(VENV)/test-platform  ## Hold the charts against Helm, Kubernetes and Prometheus
	$(PYTEST) tests/platform

# All of it is Debian's own: a base that stands in for the one of the Dockerfile, what builds on it, and what runs it.
IMAGE_TOOLS := buildah debootstrap podman runc

test-image: $(VENV)/test  ## Build the container image on a stand-in base, and run it; takes root, and some minutes
	@which $(IMAGE_TOOLS) conmon >/dev/null || { $(SUDO) apt-get -qq update && $(APT_INSTALL) $(IMAGE_TOOLS) conmon; }
	$(SUDO) $(BIN)/python tests/image/tools.py .work/image
	$(SUDO) $(BIN)/python -m pytest -p no:cacheprovider -s tests/image

# In a folder of its own, since it pins what others of the environment need newer.
CHECKOV := .work/checkov-3.3.30

$(CHECKOV):
	$(PIP) --target $@ 'checkov==$(patsubst .work/checkov-%,%,$@)'

check-manifests: $(VENV)/test-platform $(CHECKOV)  ## Hold what the charts render against checkov's rules
	rm -rf .work/manifests && $(BIN)/python -m tests.platform.manifests .work/manifests
	PYTHONPATH=$(CHECKOV) $(BIN)/python -m checkov.main --config-file helm/checkov.yaml --directory .work/manifests

check: $(VENV)/lint proto-check  ## Format, lint, types, import contracts, proto lint, generated code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/hadolint Dockerfile

format: $(VENV)/lint  ## Format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# $(call generate,DIR) writes the stubs into DIR.
define generate
PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -I proto \
  --python_out=$(1) --grpc_python_out=$(1) --mypy_out=quiet:$(1) --mypy_grpc_out=quiet:$(1) \
  proto/clipwarden/v1/moderation.proto
endef

proto: $(VENV)/lint  ## Generate service/clipwarden/v1 from the proto
	$(call generate,service)

proto-check: $(VENV)/lint
	@rm -rf .work/proto && mkdir -p .work/proto
	@$(call generate,.work/proto)
	@diff -r -x __pycache__ -x __init__.py .work/proto/clipwarden/v1 service/clipwarden/v1 \
	  || { echo 'service/clipwarden/v1 differs from the proto: run make proto' >&2; exit 1; }

# What images hold, by version and hash, for any Python and machine; uv because pip writes no such file.
UV   := .work/uv-0.13.9
LOCK  = PYTHONPATH=$(UV) $(UV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
  --generate-hashes --no-annotate --custom-compile-command 'make image-requirements'

$(UV):
	$(PIP) --target $@ 'uv==$(patsubst .work/uv-%,%,$@)'

image-requirements: $(VENV)/made $(UV)  ## Choose the packages of the container image anew
	$(LOCK) --extra cpu pyproject.toml --output-file container/requirements-cpu.txt
	$(LOCK) --extra gpu pyproject.toml --output-file container/requirements-gpu.txt
	sed -n 's/^requires = \["\(.*\)"\]/\1/p' pyproject.toml | $(LOCK) - --output-file container/requirements-build.txt

bench: $(VENV)/test  ## Print ratios measured on this machine: a quarter of an hour
	$(BIN)/python -m bench
	$(BIN)/python -m bench.pressure saturation lone overload2x --seconds 5 --pairs 5 --again

bench-peers: $(VENV)/test  ## Make the environments of the peers, and measure all that is promised under pressure: hours
	$(BIN)/python -m bench.pressure.environments
	$(BIN)/python -m bench.pressure

wheel: $(VENV)/made  ## Build the wheel into dist/
	$(PIP) build && $(BIN)/python -m build --wheel

clean:  ## Remove everything the commands made
	rm -rf $(VENV) .work dist .coverage* .mypy_cache .ruff_cache .pytest_cache
