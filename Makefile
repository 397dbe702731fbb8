# edgeverify. `make` lists the targets.
SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# OpenCV as Debian 12 has it. gocv would link all 60 modules, which load 370 libraries and cost
# 0.35 s before main: name those that are used instead.
TAGS     := gocv_specific_modules,gocv_videoio,gocv_calib3d,customenv
CXXFLAGS := -std=c++11 -DNDEBUG -O2
CPPFLAGS := -I/usr/include/opencv4
LDFLAGS  := -lopencv_calib3d -lopencv_videoio -lopencv_imgcodecs -lopencv_imgproc -lopencv_core

# What go needs; flags of the caller's environment stay.
ifeq (,$(findstring $(TAGS),$(GOFLAGS)))
GOFLAGS      := $(strip $(GOFLAGS) -tags=$(TAGS))
CGO_CXXFLAGS := $(strip $(CGO_CXXFLAGS) $(CXXFLAGS))
CGO_CPPFLAGS := $(strip $(CGO_CPPFLAGS) $(CPPFLAGS))
CGO_LDFLAGS  := $(strip $(CGO_LDFLAGS) $(LDFLAGS))
endif
EDGEVERIFY_MODELS ?= $(CURDIR)/.cache/models
exported := GOFLAGS CGO_CXXFLAGS CGO_CPPFLAGS CGO_LDFLAGS EDGEVERIFY_MODELS
export $(exported)

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GO_BUILD := go build -trimpath -ldflags "-X main.version=$(VERSION)"
FUZZTIME ?= 60s
ARGS     ?=

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install what a build needs and prepare the models (once; then under a second)
	@models/setup.sh

.PHONY: build
build: setup ## build bin/edgeverify
	@mkdir -p bin && ln -sfn ../.cache/models bin/models
	$(GO_BUILD) -o bin/edgeverify ./agent/cmd/edgeverify

.PHONY: run
run: build ## build all and start the demonstration (ARGS="…")
	$(GO_BUILD) -o bin/demo ./agent/cmd/demo
	bin/demo $(ARGS)

.PHONY: test
test: setup ## run every test that needs no build tag
	go test ./...

.PHONY: check
check: setup ## formatting, vet, linters, import rules, short tests
	@out=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); [ -z "$$out" ] || { echo "gofmt: $$out"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	@.ci/govulncheck
	go test ./agent -run Imports
	go test -short ./...

.PHONY: race
race: setup ## run the tests under the race detector
	go test -race ./...

.PHONY: e2e
e2e: build ## run the tests that start the built program
	go test -tags=$(TAGS),e2e ./agent/e2e/...

.PHONY: soak
soak: build ## run the tests that take longer than two minutes
	go test -tags=$(TAGS),soak -timeout 0 -v -run Soak ./...

.PHONY: fuzz
fuzz: setup ## fuzz every Fuzz function for FUZZTIME (60s) each
	@.ci/fuzz $(FUZZTIME)

.PHONY: bench
bench: build ## measure the built program on this machine
	bin/edgeverify bench $(ARGS)

.PHONY: eval
eval: build ## measure accuracy on labelled images: make eval DATA=folder
	@[ -n "$(DATA)" ] || { echo 'usage: make eval DATA=folder'; exit 2; }
	.ci/eval "$(DATA)"

.PHONY: train
train: setup ## train the models of models/train again
	$(MAKE) -C models/train

.PHONY: env
env: ## print the exports for using go by hand: eval "$(make -s env)"
	@$(foreach v,$(exported),echo "export $(v)='$($(v))'";)

.PHONY: clean
clean: ## remove what was built; installed packages and models stay
	rm -rf bin

.PHONY: distclean
distclean: clean ## remove installed packages and models as well
	rm -rf .cache models/node_modules
