# SPDX-License-Identifier: Apache-2.0
#
# Needs git, make and Go (`make race` gcc too); everything else is built from
# source by the targets themselves. docs/DEVELOPING.md explains the tiers of tests.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS   += --no-print-directory
.DEFAULT_GOAL := help

GO ?= go
# A binary tells the commit it was built from; outside a git checkout, "dev".
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# Trimmed paths and no cgo, so that two builds of one commit are the same bytes;
# for tests and tools too, so that everything shares one build cache, which is
# most of a cold run's time.
export CGO_ENABLED ?= 0
export GOFLAGS := $(strip $(shell $(GO) env GOFLAGS) -trimpath)
# The CLI is downloaded by every CI job: no symbol tables.
LDFLAGS = -s -w -X main.version=$(VERSION)

# One package's tests may take this long; the whole of `make test` warm is
# expected below ten minutes.
TEST_TIMEOUT ?= 15m
# Each fuzz target's share of `make fuzz`: a smoke test, not a campaign.
# Inputs are not made small: that takes up to a minute for the first that is
# interesting, which is all of the share.
FUZZ_TIME ?= 10s

##@ Everyday

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

.PHONY: build
build: ## Build bin/hallmark, bin/hallmark-server and bin/hallmark-controller
	@echo "==> build $(VERSION)"
	@mkdir -p bin
	@$(GO) build -v -ldflags "$(LDFLAGS)" -o bin/ ./cmd/... 2>&1 | $(PROGRESS)
	@# The second platform of Hallmark's image, for the demo and the tests.
	@mkdir -p bin/linux-arm64
	@GOARCH=arm64 $(GO) build -v -ldflags "$(LDFLAGS)" -o bin/linux-arm64/ ./cmd/hallmark 2>&1 | $(PROGRESS)

.PHONY: demo
demo: build ## Sign an image as a CI job, verify it, then fail to as a workstation
	@$(GO) run ./internal/demo

# What the image is for. Others than this machine's are compiled for it, which
# takes some minutes the first time.
ARCH ?= $(shell $(GO) env GOARCH)

.PHONY: image
image: build ## Push Hallmark's container image: make image IMAGE=registry.corp.example/hallmark:1.0 ARCH="amd64 arm64"
	@for arch in $(ARCH); do \
	  [ "$$arch" = "$$($(GO) env GOARCH)" ] && continue; \
	  mkdir -p "bin/linux-$$arch"; \
	  GOARCH="$$arch" $(GO) build -v -ldflags "$(LDFLAGS)" -o "bin/linux-$$arch/" ./cmd/... 2>&1 | $(PROGRESS); \
	done
	@$(GO) run ./internal/pushimage $(IMAGE) $(ARCH)

.PHONY: reference
reference: ## Write docs/CLI.md from the commands of the programs
	@HALLMARK_WRITE_REFERENCE=1 $(GO) test -count=1 -p 1 -run '^TestReference$$' ./cmd/hallmark ./cmd/hallmark-server ./cmd/hallmark-controller

.PHONY: fmt
fmt: ## Format the code
	@gofmt -w $$(git ls-files --cached --others --exclude-standard -- '*.go')

##@ Tests

.PHONY: test
test: build tools postgresql ## Unit, integration and whole-system tests against stock programs
	@echo "==> compile what the tests import"
	@$(GO) list -f '{{range .TestImports}}{{println .}}{{end}}{{range .XTestImports}}{{println .}}{{end}}' ./... \
	  | sed '/^$$/d' | sort -u | xargs $(GO) build -v 2>&1 | $(PROGRESS)
	@echo "==> test"
	@# The longest first, so that no core waits for them in the end.
	@HALLMARK_BIN=$(CURDIR)/bin $(GO) test -count=1 -timeout $(TEST_TIMEOUT) ./e2e/sign ./signer/store/postgres ./...

.PHONY: test-peers
test-peers: build gnupg ## Tests against heavy peers (e2e/peers), built once per machine: Vault and AWS KMS
	@echo "==> heavy peers (cold: about six minutes on two cores)"
	@$(GO) run ./e2e/tools/install peers registry cosign-v2 cosign-v3 helm
	@echo "==> test against heavy peers"
	@HALLMARK_BIN=$(CURDIR)/bin $(GO) test -tags peers -count=1 -timeout $(TEST_TIMEOUT) ./e2e/kms

.PHONY: race
race: postgresql ## Tests of everything but e2e under the race detector
	@CGO_ENABLED=1 $(GO) test -race -count=1 -timeout $(TEST_TIMEOUT) $$($(GO) list ./... | grep -v /e2e)

.PHONY: fuzz
fuzz: ## Run each fuzz target for ten seconds (FUZZ_TIME=10s)
	@grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do \
	  for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
	    echo "==> $$file $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ_TIME) -fuzzminimizetime 1x "./$$(dirname "$$file")"; \
	  done; \
	done

.PHONY: lint
lint: ## Run the linters
	@echo "==> lint"
	@linter=$$($(GO) run ./e2e/tools/install golangci-lint); "$$linter" run ./...

# Parts of `make bench`, comma-separated; `go run ./internal/bench -help` lists
# them.
BENCH ?= all

.PHONY: bench
bench: build postgresql ## Measure signing and the log, each beside its floor: 15 minutes (BENCH=log,postgres: parts of it)
	@if [ "$(BENCH)" = all ]; then \
	  echo "==> micro-benchmarks"; \
	  dirs=$$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -r -n1 dirname | sort -u); \
	  [ -z "$$dirs" ] || $(GO) test -run '^$$' -bench . -benchmem $$dirs; \
	fi
	@echo "==> end to end"
	@$(GO) run ./internal/bench -parts $(BENCH)

# The whole size of the test that `make test` runs in small.
CHAOS_ENTRIES ?= 20000

.PHONY: chaos
chaos: build ## 20,000 entries while servers and databases are killed: some minutes
	@HALLMARK_BIN=$(CURDIR)/bin HALLMARK_CHAOS_ENTRIES=$(CHAOS_ENTRIES) HALLMARK_CHAOS_OUTAGE=60 $(GO) test -count=1 -v -timeout $(TEST_TIMEOUT) ./e2e/chaos

##@ House

.PHONY: tools
tools: ## Build the stock programs that the tests run, once per machine
	@echo "==> stock programs (the first time they are built: README.md says how long that takes)"
	@$(GO) run ./e2e/tools/install test

.PHONY: postgresql
postgresql: ## Install PostgreSQL's server programs, if they are absent and we are root
	@# A pg_config without initdb and postgres beside it came with a client library.
	@for dir in $$(pg_config --bindir 2>/dev/null || true) /usr/lib/postgresql/*/bin; do \
	  if [ -x "$$dir/initdb" ] && [ -x "$$dir/postgres" ]; then exit 0; fi; \
	done; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	  echo "no PostgreSQL server on this machine: install version 15 or newer (Debian: apt-get install postgresql)" >&2; exit 1; \
	fi; \
	echo "==> install PostgreSQL"; \
	apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends postgresql

.PHONY: gnupg
gnupg: ## Install GnuPG for `make test-peers`, if it is absent and we are root
	@if command -v gpg >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	  echo "no GnuPG on this machine: install version 2.2 or newer (Debian: apt-get install gnupg)" >&2; exit 1; \
	fi; \
	echo "==> install GnuPG"; \
	apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends gnupg

.PHONY: clean
clean: ## Remove bin/ (not the tools cache, which other work trees share)
	@rm -rf bin

# Turns the package names that `go build -v` prints into a line per hundred, so
# that a cold build is neither silent nor a flood; errors pass through.
PROGRESS = awk '/^[a-zA-Z0-9._~-]+(\/[a-zA-Z0-9._~+-]+)*$$/ { if (++n % 100 == 0) { print "compiled " n " packages, now " $$1; fflush() } next } { print; fflush() }'
