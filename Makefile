# make test is all that CI runs. It needs Go and nothing else.

GO ?= go
export GOFLAGS ?= -mod=readonly

.PHONY: all build test check race fuzz bench clean

all: build

# One static binary.
build:
	CGO_ENABLED=0 $(GO) build -trimpath -o orlop ./cmd/orlop

test: check
	$(GO) test ./...
	ORLOP_DRAWS=100000 $(GO) test -run Oracle ./eql
	$(MAKE) --no-print-directory race

# What a compiler does not say: format, vet and staticcheck.
check:
	@files=$$($(GO) list -f '{{$$d := .Dir}}{{range .GoFiles}}{{$$d}}/{{.}} {{end}}{{range .TestGoFiles}}{{$$d}}/{{.}} {{end}}{{range .XTestGoFiles}}{{$$d}}/{{.}} {{end}}' ./... | xargs gofmt -l); \
	  if [ -n "$$files" ]; then echo "not gofmt-ed:"; echo "$$files"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# The race detector needs cgo and so a C compiler; packages with goroutines.
race:
	@if command -v $${CC:-cc} >/dev/null 2>&1; then \
	  CGO_ENABLED=1 $(GO) test -race ./source ./source/bpf ./internal/... ./cmd/orlop; \
	else echo "race tests skipped: no C compiler"; fi

# Each fuzz target for a while: make fuzz FUZZTIME=1m
FUZZTIME ?= 20s
fuzz:
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; \
	done

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

# What goes wrong on a host, at length: a stopped reader, a full disk, a kill, a step of
# the clock, rules that change. The tests do it in short. As root, or it is skipped.
DRILL ?= 10
drill:
	ORLOP_DRILL=$(DRILL) $(GO) test -count=1 -timeout 30m -v -run 'Drill|ClockStep' ./cmd/orlop ./internal/agent
.PHONY: drill

clean:
	rm -f orlop

# Recall and noise of the rules on labelled command lines, in Markdown.
PUBLISHED ?= ../shared/efficacy/commands.ndjson
efficacy:
	@$(GO) run ./cmd/efficacy cmd/efficacy/testdata/commands.ndjson $(wildcard $(PUBLISHED))
.PHONY: efficacy

# The kernel program; its object is committed, so building needs no clang.
# Needs clang 14, llvm and libbpf-dev.
bpf:
	cd source/bpf/src && clang -O2 -g -target bpf -mcpu=v3 -Wall -Werror -Wno-missing-declarations \
	  -fdebug-prefix-map=$$PWD=. -c orlop.bpf.c -o ../orlop_bpfel.o && llvm-strip -g ../orlop_bpfel.o
.PHONY: bpf
