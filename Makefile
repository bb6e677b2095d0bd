# Bare `make` lists what can be made.
GO      ?= go
BIN     := bin/avjepa
export CGO_ENABLED = 0

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

# -buildvcs=false: no version comes from git, and asking it fails in a checkout
# that belongs to another user.
.PHONY: build
build: ## build bin/avjepa
	$(GO) build -buildvcs=false -o $(BIN) ./cmd/avjepa

PREFIX ?= /usr/local

.PHONY: install
install: build ## install binary, manual pages and completions below PREFIX (/usr/local)
	install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/avjepa
	$(BIN) man $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(BIN) completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/avjepa
	$(BIN) completion zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_avjepa
	$(BIN) completion fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/avjepa.fish

.PHONY: demo
demo: deps build ## make a small data set, train on it, report (3 to 8 minutes)
	$(BIN) demo

.PHONY: torch
torch: build ## build the torch engine; installs libtorch if it is missing
	@scripts/torch.sh
	$(BIN) engine build

.PHONY: s3
s3: ## build the S3 server that tests use: without it they leave S3 out
	@scripts/s3.sh

.PHONY: weaviate
weaviate: ## build the Weaviate server that tests use (minutes): without it they leave it out
	@scripts/weaviate.sh

.PHONY: test
test: deps ## run all tests (make check vets)
	$(GO) test -vet=off -timeout 20m ./...

.PHONY: test-portable
test-portable: ## run the numeric tests without assembly
	$(GO) test -tags noasm ./internal/kernel/ ./internal/engine/cpu/ ./internal/jepa/ \
		./internal/jpeg/ ./internal/view/

.PHONY: test-arm64
test-arm64: ## run the numeric tests as arm64 programs, in an emulator
	@scripts/qemu.sh
	@scripts/test-arm64.sh

.PHONY: fuzz
fuzz: ## feed every parser arbitrary bytes, FUZZTIME each (5s)
	@GO=$(GO) FUZZTIME=$(or $(FUZZTIME),5s) scripts/fuzz.sh

.PHONY: check
check: ## gofmt, go vet, staticcheck
	@files=$$(gofmt -l .); test -z "$$files" || { echo "$$files: run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

.PHONY: kernels
kernels: ## write the assembly again from its generator
	$(GO) generate ./internal/kernel

.PHONY: web
web: ## bundle the scripts and the style sheet of the web pages, offline, into internal/server/assets
	cd web && $(GO) run .

# npm checks the archives against package-lock.json; only what the pages import is
# copied, and axe-core, which tests alone run.
.PHONY: web-vendor
web-vendor: ## fetch the npm packages of the web pages again (needs npm; to upgrade them)
	rm -rf bin/npm && mkdir -p bin/npm && cp web/package.json web/package-lock.json bin/npm/
	cd bin/npm && npm ci --ignore-scripts --no-audit --no-fund
	cd web && $(GO) run . -vendor ../bin/npm
	cp bin/npm/node_modules/axe-core/axe.min.js bin/npm/node_modules/axe-core/LICENSE \
		internal/server/pages/testdata/axe/

.PHONY: chromium
chromium: ## install chromium: without it the tests of the web pages in a browser are left out
	@scripts/chromium.sh

.PHONY: bench
bench: build peer ## time ours beside PyTorch, into docs/benchmarks.md (BENCH="--presets base" for others)
	/usr/bin/python3 -B bench/compare.py --write docs/benchmarks.md $(BENCH)

.PHONY: bench-peer
bench-peer: peer ## time PyTorch's training step alone, and hold its loss to the golden one
	bench/peer/run.sh --check-golden
	bench/peer/run.sh $(BENCH)

.PHONY: learning-check
learning-check: build peer ## train ours and PyTorch on the same views, into docs/results.md (needs the demo's clips)
	$(GO) build -buildvcs=false -o bin/views ./bench/views
	bench/peer/learning.sh --write docs/results.md

# Debian's PyTorch, for the benchmarks alone: nothing else needs it.
.PHONY: peer
peer:
	bench/peer/install.sh

.PHONY: onnx
onnx: ## install ONNX Runtime, to which tests hold what avjepa export writes
	@scripts/onnx.sh

# Packages whose tests a GPU machine runs, each built into bin/NAME.test.
GPU_TESTS := internal/engine/torch internal/jepa

.PHONY: gpu-bundle
gpu-bundle: build ## build what bench/gpu.sh needs on a machine with a GPU and without Go
	$(GO) build -buildvcs=false -o bin/shards ./bench/shards
	set -e; for p in $(GPU_TESTS); do \
		$(GO) test -c -ldflags=-s -o bin/$$(basename $$p).test ./$$p; done
	git -c safe.directory='*' describe --always --dirty >bin/gpu-commit
	@echo "carry the repository and $$(cd bin && echo avjepa shards gpu-commit *.test | sed 's|[^ ]*|bin/&|g');"
	@echo "there, in its root: bench/gpu.sh"

.PHONY: deps
deps: ## install ffmpeg if it is missing
	@scripts/deps.sh
