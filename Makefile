# Everything a developer or a user needs, one target each. `make help` lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# How many tests run at a time. Tests of one group (tests/README.md) never do.
JOBS ?= 2
PYTEST := $(BIN)/pytest --dist loadgroup --durations 20

# How long `make fuzz` looks for inputs.
SECONDS ?= 600

# local: a Kubernetes of our own on this machine. current: the one that KUBECONFIG points to.
CLUSTER ?= local
# The operator's image, for `make deploy`.
IMAGE ?= ray-operator:0.1.0
NAMESPACE ?= default
export CLUSTER

##@ See it run

.PHONY: demo
demo: may-run-nodes $(STAMP) ## A Kubernetes on this machine, the operator, a Ray cluster, a Ray program (CLUSTER=current: on yours)
	@$(BIN)/python scripts/demo

.PHONY: may-run-nodes
may-run-nodes:
	@[ "$$CLUSTER" != local ] || [ "$$(id -u)" = 0 ] || { \
	  echo 'make demo needs root to run nodes on this machine; or point KUBECONFIG at an existing cluster' \
	    '(kind, minikube, a real one) and use CLUSTER=current' >&2; exit 1; }

.PHONY: demo-down
demo-down: $(STAMP) ## Remove what `make demo` made
	@$(BIN)/python scripts/demo down

##@ Install it

.PHONY: deploy
deploy: has-helm $(STAMP) ## Install or update the operator, alone, in the current cluster (IMAGE=..., NAMESPACE=..., HELM_OPTIONS=...)
	@$(BIN)/python scripts/deploy up --namespace $(NAMESPACE) --image $(IMAGE) $(HELM_OPTIONS)

.PHONY: has-helm
has-helm:
	@command -v helm >/dev/null || { \
	  echo 'helm is not on PATH; install it, or: export PATH=$$(scripts/local-kubernetes binaries --for tools):$$PATH' >&2; \
	  exit 1; }

.PHONY: undeploy
undeploy: has-helm $(STAMP) ## Remove the operator from the current cluster; RayClusters and their pods stay
	@$(BIN)/python scripts/deploy down --namespace $(NAMESPACE)

.PHONY: release
release: has-helm $(STAMP) ## Make the files of a release in dist/VERSION (VERSION=0.1.0, RELEASE_OPTIONS=...); root for the image
	@$(BIN)/python scripts/release $(VERSION) $(RELEASE_OPTIONS)

.PHONY: manifests
manifests: has-helm ## Write the Grafana dashboard, and the operator's plain manifests anew from the chart
	@scripts/dashboard.py
	@scripts/render-manifests

##@ Develop it

.PHONY: venv
venv: $(STAMP) ## Make the virtual environment that the other targets use

$(STAMP): setup.cfg pyproject.toml scripts/make-venv
	@scripts/make-venv $(VENV)
	@touch $@

.PHONY: test
test: lint test-unit test-integration test-e2e ## Lint, unit, integration and e2e tests, long sweeps in their short form

.PHONY: lint
lint: $(STAMP) ## Style, types, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	bash -c '$(BIN)/shellcheck controller/objects/program/*.sh'

.PHONY: test-unit
test-unit: $(STAMP) ## Pure parts, in seconds
	$(PYTEST) tests/unit -q -n $(JOBS)

.PHONY: test-integration
test-integration: $(STAMP) ## Against a real kube-apiserver without nodes
	$(PYTEST) tests/integration -v -n $(JOBS)

.PHONY: fuzz
fuzz: $(STAMP) ## Inputs that are nearly right, new ones for SECONDS=600: RayClusters, pods, heads' answers, watch streams
	@end=$$(($$(date +%s) + $(SECONDS))); while [ "$$(date +%s)" -lt "$$end" ]; do \
	  HYPOTHESIS_PROFILE=long $(BIN)/pytest tests/unit/fuzz -q --hypothesis-show-statistics || exit 1; done

# Of several processes each has a cluster of its own.
E2E := $(PYTEST) tests/e2e -v $(if $(filter current,$(CLUSTER)),,-n $(JOBS) --dist loadfile)

.PHONY: test-e2e
test-e2e: $(STAMP) ## On real nodes with real Ray: the guide's commands, one by one, and one test of some other files
	TEST_PROFILE=short $(E2E) --ignore tests/e2e/test_ipv6.py

.PHONY: test-long
test-long: $(STAMP) ## Unit and integration tests, sweeps in their long form: each write, each event, a thousand examples
	TEST_PROFILE=long HYPOTHESIS_PROFILE=long $(PYTEST) tests/unit tests/integration -q -n $(JOBS)

.PHONY: test-e2e-long
test-e2e-long: $(STAMP) ## On real nodes with real Ray, every test: an hour
	$(E2E) --ignore tests/e2e/test_ipv6.py
	@$(MAKE) test-ipv6

.PHONY: test-ipv6
test-ipv6: $(STAMP) ## Ray on a local Kubernetes of two nodes with IPv6 alone, made for it: two minutes
	$(PYTEST) tests/e2e/test_ipv6.py -v

.PHONY: test-mesh
test-mesh: $(STAMP) ## The guide's commands where the API server puts a proxy into each Ray pod: five minutes
	MESH=1 $(PYTEST) tests/e2e/test_guide.py -v

.PHONY: test-release
test-release: $(STAMP) ## A release made twice, and installed from its files on a Kubernetes with a registry: ten minutes
	$(PYTEST) tests/release -v

.PHONY: test-hostile
test-hostile: $(STAMP) ## Twenty clusters grow and shrink beside whatever one tenant can do, in the chart's memory: 15 minutes
	$(PYTEST) tests/hostile -v

.PHONY: docs
docs: $(STAMP) ## The documentation as a site, in build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo 'build/site/index.html'

.PHONY: screenshots
screenshots: $(STAMP) ## Pictures in a real browser: the status page in docs/images, the site's pages in build/screenshots
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python scripts/screenshots

.PHONY: recording
recording: may-run-nodes $(STAMP) ## Record `make demo` as the animated picture of the README, docs/images/demo.svg
	@$(BIN)/python scripts/record docs/images/demo.svg -- make --no-print-directory demo

.PHONY: test-mutants
test-mutants: $(STAMP) ## Changes of the code that the unit tests have to notice, one after the other: ten minutes
	$(BIN)/python scripts/mutants.py $(MUTANTS)

.PHONY: test-coverage
test-coverage: $(STAMP) ## The unit tests, and how much of the code they reach
	$(PYTEST) tests/unit -q -n $(JOBS) --cov=controller --cov=autoscaler --cov-report=
	@echo "they reach $$($(BIN)/coverage report --format=total) % of the lines of controller/ and autoscaler/"

.PHONY: reference
reference: $(STAMP) ## Write docs/configuration.md and the chart's README anew from the CRD, the chart and the flags
	@$(BIN)/python scripts/render-reference

.PHONY: docs-outputs
docs-outputs: $(STAMP) ## Write into docs/when-a-raycluster-is-wrong.md what its commands print
	WRITE_DOCS=1 $(BIN)/pytest tests/integration/test_malformed.py -q

.PHONY: bench
bench: bench-scheduler bench-poller bench-burst bench-latency bench-churn ## Every benchmark; each writes a JSON file under build/bench

.PHONY: bench-scheduler
bench-scheduler: $(STAMP) ## The scheduler beside Ray's own two, same inputs, one process
	$(BIN)/python scripts/bench_scheduler.py

.PHONY: bench-poller
bench-poller: $(STAMP) ## What asking 1,000 Ray heads costs, some of them dead: two minutes
	$(BIN)/python scripts/bench_poller.py

.PHONY: bench-burst
bench-burst: $(STAMP) ## Many pods at once, beside a bare client (BENCH_OPTIONS=--quick: one minute)
	$(BIN)/python scripts/bench_burst.py $(BENCH_OPTIONS)

.PHONY: bench-report
bench-report: $(STAMP) ## Write the figures and plots of docs/performance.md from what the benchmarks left
	@$(BIN)/python scripts/bench_report.py $(BENCH_OPTIONS)

.PHONY: bench-churn
bench-churn: $(STAMP) ## A thousand clusters come and go: what stays of them in the operator; ten minutes
	CHURN_CLUSTERS=1000 $(BIN)/pytest tests/integration/test_churn.py -q

.PHONY: bench-soak
bench-soak: $(STAMP) ## Clusters come and go, grow and shrink for two hours: what grows in the operator (BENCH_OPTIONS='--minutes 10')
	$(BIN)/python scripts/bench_soak.py $(BENCH_OPTIONS)

.PHONY: bench-latency
bench-latency: may-run-nodes $(STAMP) ## From waiting work to pods and back, real nodes, real Ray: five minutes
	$(BIN)/python scripts/bench_latency.py

.PHONY: clean
clean: ## Remove what the targets above left in this directory
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage

.PHONY: help
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
