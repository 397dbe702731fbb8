# edgeverify. `make` lists the targets.
SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# OpenCV as Debian 12 has it. gocv would link all 52 modules, which load 366 libraries and cost
# 0.35 s and 115 MB before main. Those named here load 247 and cost 0.12 s and 76 MB: 0.10 s by
# imgcodecs, which brings GDAL, and 0.05 s by videoio, which brings FFmpeg and GStreamer.
TAGS     := gocv_specific_modules,gocv_videoio,customenv
CXXFLAGS := -std=c++11 -DNDEBUG -O2
CPPFLAGS := -I/usr/include/opencv4
LDFLAGS  := -lopencv_videoio -lopencv_imgcodecs -lopencv_imgproc -lopencv_core

# What go needs, added to what the caller's environment has.
with = $(strip $(1) $(if $(findstring $(2),$(1)),,$(2)))
GOFLAGS      := $(call with,$(GOFLAGS),-tags=$(TAGS))
CGO_CXXFLAGS := $(call with,$(CGO_CXXFLAGS),$(CXXFLAGS))
CGO_CPPFLAGS := $(call with,$(CGO_CPPFLAGS),$(CPPFLAGS))
CGO_LDFLAGS  := $(call with,$(CGO_LDFLAGS),$(LDFLAGS))
EDGEVERIFY_MODELS ?= $(CURDIR)/.cache/models
exported := GOFLAGS CGO_CXXFLAGS CGO_CPPFLAGS CGO_LDFLAGS EDGEVERIFY_MODELS
export $(exported)

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
BUILT    := $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
GO_BUILD := go build -trimpath -ldflags "-X main.version=$(VERSION) -X main.built=$(BUILT)"
ALL_TAGS := $(TAGS),e2e,soak
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
	go vet -tags=$(ALL_TAGS) ./...
	go tool staticcheck -tags=$(ALL_TAGS) ./...
	@$(call govulncheck)
	go test ./agent -run Imports
	go test -short ./...

# Exit status 3 is a vulnerability found. Where its database cannot be reached nothing was looked
# up, and it says so; every other failure stands.
define govulncheck
echo "go tool govulncheck ./..."; out=$$(go tool govulncheck ./... 2>&1); rc=$$?; \
if [ $$rc = 1 ] && echo "$$out" | grep -q '^govulncheck: fetching vulnerabilities:'; then \
	echo "govulncheck: not run (database unreachable)"; \
elif [ $$rc != 0 ]; then echo "$$out"; exit $$rc; fi
endef

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
	@grep -rEo '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' agent inference models capture sync firmware | \
	while IFS=: read -r file name; do \
		name=$${name#func }; echo "$$name in $${file%/*}"; \
		go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) "./$${file%/*}" </dev/null || exit 1; \
	done

.PHONY: bench
bench: build ## measure the built program on this machine
	bin/edgeverify bench $(ARGS)

.PHONY: eval
eval: build ## measure accuracy on labelled images in DATA/faces_*/pairs*.csv and DATA/pad_*/labels.csv
	@[ -d "$(DATA)" ] || { echo 'usage: make eval DATA=folder'; exit 2; }
	@found=; \
	each() { \
		task=$$1 flag=$$2; shift 2; \
		for file; do \
			[ -e "$$file" ] || continue; \
			found=yes; \
			echo "eval $$task $$file"; bin/edgeverify eval $$task --$$flag "$$file" --json || exit 1; \
		done; \
	}; \
	each faces pairs "$(DATA)"/faces_*/pairs*.csv && \
	each pad labels "$(DATA)"/pad_*/labels.csv "$(DATA)"/videos/labels.csv && \
	[ -n "$$found" ] || { echo 'make eval: no list of pairs or labels in $(DATA)'; exit 2; }

.PHONY: train
train: setup ## train the models of models/train again
	@[ -d models/train ] || { echo 'make train: all models come from packages so far; there is none to train'; exit 0; }; \
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
