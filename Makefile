# metricrule: `make help` lists the targets.

TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
IMAGE ?= metricrule:dev
DENY_VERSION := 0.20.2
# The program of a name, where tools/build put it.
program = $$(tools/build --print | sed -n 's/^$(1)=//p')

# Each target uses all cores by itself, and its messages are to be read in order.
.NOTPARALLEL:

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the library, the binary and the testbed (debug)
	cargo build --workspace

.PHONY: check
check: ## type-check everything, tests included
	cargo check --workspace --all-targets

.PHONY: fmt
fmt: ## format the sources
	cargo fmt --all

.PHONY: lint
lint: ## clippy over everything; a warning is an error
	cargo clippy --workspace --all-targets --locked -- --deny warnings

.PHONY: test
test: ## run formatting, lints, unit, property, integration and end-to-end tests; an hour the first time, then about 10 minutes
	@echo "[1/4] external programs (the first time half an hour, with progress; then at once)"
	@tools/build >/dev/null
	@echo "[2/4] formatting"
	@cargo fmt --all --check
	@echo "[3/4] lints (the first time about 10 minutes)"
	@cargo clippy --workspace --all-targets --locked -- --deny warnings
	@echo "[4/4] tests, with the debug binary: unit and property, then integration, then end to end (the first time about 10 minutes more)"
	@cargo test --workspace --locked
	@echo "all passed"

.PHONY: conformance
conformance: $(if $(URL),,tools) ## run the 110 conformance points and write docs/conformance.md; with URL=https://… CA= CERT= KEY= the url points of any server
	@$(if $(URL),\
	  CONFORMANCE_URL="$(URL)" CONFORMANCE_CA="$(CA)" CONFORMANCE_CERT="$(CERT)" CONFORMANCE_KEY="$(KEY)" \
	  CONFORMANCE_TOKEN_FILE="$(TOKEN_FILE)" CONFORMANCE_SERVER_NAME="$(SERVER_NAME)" CONFORMANCE_DATA="$(DATA)",\
	  METRICRULE_WRITE=1) cargo test --package metricrule --test conformance

.PHONY: fuzz
fuzz: ## search for input that breaks a property; FUZZ_SECONDS=60 each, FUZZ_TARGET=name for one (the first build takes 15 minutes)
	FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) tools/fuzz $(FUZZ_TARGET)

.PHONY: doc
doc: ## build the API documentation; a warning is an error
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --locked

.PHONY: deny
deny: cargo-deny ## check licences, banned and duplicate crates, and sources; needs no network once everything is fetched
	@cargo fetch --locked
	cargo deny --offline --workspace check bans licenses sources

.PHONY: audit
audit: cargo-deny ## check for known vulnerabilities and yanked crates; needs a network
	cargo deny --workspace check advisories

.PHONY: cargo-deny
cargo-deny:
	@command -v cargo-deny >/dev/null || { \
	  echo "cargo-deny is missing; installing $(DENY_VERSION), once, about 10 minutes on 2 cores"; \
	  cargo install cargo-deny --version $(DENY_VERSION) --locked; }

.PHONY: crds
crds: tools ## write the generated files: crds/, the chart's copies, docs/reasons.md, docs/metrics.md, tests/it/rbac.txt
	METRICRULE_WRITE=1 cargo test --package metricrule --lib up_to_date
	METRICRULE_WRITE=1 cargo test --package metricrule --test it up_to_date

.PHONY: fixtures
fixtures: ## write tests/fixtures with the Go programs of tests/oracles; SEED=7 COUNT=2000 writes others into build/fixtures and tests those
ifdef SEED
	@mkdir -p build/fixtures
	@cd tests/oracles && for oracle in quantity re2 selector template; do \
	  echo "$$oracle, seed $(SEED)" && go run "./$$oracle" -seed "$(SEED)" -count "$(or $(COUNT),2000)" >"../../build/fixtures/$$oracle.json" || exit 1; \
	done
	@METRICRULE_FIXTURES=$(CURDIR)/build/fixtures cargo test --package language --lib --locked -- \
	  quantity::tests selector::tests template::tests
	@METRICRULE_FIXTURES=$(CURDIR)/build/fixtures cargo test --package promql --lib --locked -- re2::tests
else
	@cd tests/oracles && for oracle in quantity re2 selector template wire; do \
	  echo "$$oracle" && go run "./$$oracle" >"../fixtures/.new" && mv "../fixtures/.new" "../fixtures/$$oracle.json" || exit 1; \
	done
	@cd tests/oracles && echo openapi && go run ./openapi <../fixtures/openapi.json >../fixtures/.new && mv ../fixtures/.new ../fixtures/openapi.json
	@cd tests/oracles/promql && echo promql && go run . <../../fixtures/confined.json >../../fixtures/.new && mv ../../fixtures/.new ../../fixtures/confined.json
endif

.PHONY: promql
promql: ## compare crates/promql with Prometheus's own parsers, on generated and mutated texts; PROMQL_TEXTS=100000 of each, PROMQL_SEED=7 for others
	PROMQL_TEXTS=$(or $(PROMQL_TEXTS),100000) PROMQL_SEED=$(or $(PROMQL_SEED),1) cargo test --package promql --test prometheus --locked -- --nocapture

.PHONY: recordings
recordings: $(if $(PEER),tools) ## record the answers and queries of the prometheus-adapter binary PEER=path for tests/fixtures/adapter-queries
	@test -n "$(PEER)" || { echo "PEER=path of a prometheus-adapter binary is missing"; exit 1; }
	@METRICRULE_WRITE=1 PEER="$(abspath $(PEER))" cargo test --locked --package metricrule --test differential

.PHONY: differential
differential: $(if $(PEER),tools) ## compare with the prometheus-adapter binary PEER=path on one Prometheus, over our configurations or those of DIR=folder
	@test -n "$(PEER)" || { echo "PEER=path of a prometheus-adapter binary is missing: the program of its image will do"; exit 1; }
	@PEER="$(abspath $(PEER))" DIR="$(if $(DIR),$(abspath $(DIR)))" cargo test --locked --package metricrule --test differential

.PHONY: bench
bench: ## measure how long rules take to compile, against goals
	cargo bench --package metricrule --bench rules

.PHONY: bench-faults
bench-faults: tools ## measure memory, lateness and large files on bad days against goals (release build); SCENE=hang for one scene, PEER=path to compare with prometheus-adapter
	@cargo build --release --locked --package metricrule --bin metricrule
	@cargo build --locked --workspace
	@METRICRULE_BIN=$(abspath $(TARGET))/release/metricrule PEER="$(if $(PEER),$(abspath $(PEER)))" $(TARGET)/debug/testbed figures $(SCENE)

.PHONY: chart-lint
chart-lint: tools ## lint and render the chart
	@$(call program,helm) lint --strict charts/metricrule
	@$(call program,helm) template metricrule charts/metricrule --set prometheus.url=http://prometheus.example:9090 >/dev/null

.PHONY: image-root
image-root: ## lay out build/image-root: the image's files, without a container engine (release build, about 10 minutes)
	cargo build --release --locked --package metricrule --bin metricrule
	tools/image-root $(TARGET)/release/metricrule build/image-root

.PHONY: image
image: ## build the container image $(IMAGE) with podman or docker
	$$(command -v podman || command -v docker) build --file Containerfile --tag $(IMAGE) .

.PHONY: tools
tools: ## build the external programs (Kubernetes, etcd, KWOK, helm, Prometheus, kubectl 1.20, Go's metrics server and clients) into a cache; takes half an hour the first time
	@tools/build >/dev/null

.PHONY: demo
demo: tools ## watch an HPA scale on a MetricRule; DEMO_SECONDS=90 stops by itself, with exit 0 if the HPA scaled up and down again
	@echo "building metricrule and the testbed (about 10 minutes the first time)"
	@cargo build --package metricrule --package testbed
	@$(TARGET)/debug/testbed demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

.PHONY: corpus
corpus: tools ## import and apply each prometheus-adapter configuration in the folder DIR, and report the result; exit 0 if all are accepted or diagnosed
	@test -n "$(DIR)" || { echo "say which folder: make corpus DIR=…" >&2; exit 2; }
	@cargo build --package metricrule --package testbed
	@$(TARGET)/debug/testbed corpus $(DIR)

.PHONY: attack
attack: tools ## attack one replica with 500 idle connections, 200 half-open handshakes, a rapid reset and more, while an HPA's requests go on; takes a minute
	@mkdir -p build && rm -f build/attack.txt
	@METRICRULE_ATTACK=$(CURDIR)/build/attack.txt cargo test --locked --test e2e attack:: >&2; \
	  code=$$?; cat build/attack.txt; exit $$code

.PHONY: clean
clean: ## remove the build output; the cache of external programs stays
	cargo clean
	rm -rf build
