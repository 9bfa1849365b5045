# make test is all that CI runs. It needs Go; what some tests need beside it, see deps.

GO ?= go
export GOFLAGS ?= -mod=readonly

.PHONY: all build deps test check race fuzz bench clean

all: build

# One static binary.
build:
	CGO_ENABLED=0 $(GO) build -trimpath -o orlop ./cmd/orlop

test: deps check
	$(GO) test ./...
	$(GO) test -tags purego ./event ./source
	ORLOP_DRAWS=100000 $(GO) test -run Oracle ./eql
	@$(GO) test -v -run PackSeesEverySpelling ./cmd/orlop | grep spellings
	$(MAKE) --no-print-directory race

# Programs that tests start, each before the package that Debian has it in. As root
# where there is apt-get, what is missing is installed; elsewhere, and where that does
# not work, it is named, and the tests that need it skip and say so.
DEPS = containerd:containerd ctr:containerd runc:runc unshare:util-linux setpriv:util-linux \
  cc:gcc clang:clang llvm-strip:llvm chromium:chromium

deps:
	@programs=; packages=; \
	for d in $(DEPS); do \
	  command -v $${d%%:*} >/dev/null 2>&1 || { programs="$$programs $${d%%:*}"; packages="$$packages $${d#*:}"; }; \
	done; \
	if command -v apt-get >/dev/null 2>&1; then \
	  for h in bpf/bpf_helpers.h:libbpf-dev stdlib.h:libc6-dev; do \
	    test -e /usr/include/$${h%%:*} || { programs="$$programs $${h%%:*}"; packages="$$packages $${h#*:}"; }; \
	  done; \
	  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { programs="$$programs initdb"; packages="$$packages postgresql"; }; \
	fi; \
	test -n "$$programs" || exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	  echo "installing$$packages"; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  { apt-get -qq install -y --no-install-recommends $$packages >/dev/null 2>&1 || \
	    { apt-get -qq update && apt-get -qq install -y --no-install-recommends $$packages; } >/dev/null; } && exit 0; \
	fi; \
	echo "not here, so tests that need them skip:$$programs"

# What a compiler does not say: format, vet and staticcheck.
check:
	@files=$$($(GO) list -f '{{$$d := .Dir}}{{range .GoFiles}}{{$$d}}/{{.}} {{end}}{{range .TestGoFiles}}{{$$d}}/{{.}} {{end}}{{range .XTestGoFiles}}{{$$d}}/{{.}} {{end}}' ./... | xargs gofmt -l); \
	  if [ -n "$$files" ]; then echo "not gofmt-ed:"; echo "$$files"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# The race detector needs cgo and so a C compiler; packages with goroutines. What is
# skipped has none and takes minutes there: scripts, spellings and the benign hour are scans
# for the most part, doctor looks, and a reader's memory and order are those of one goroutine.
race:
	@if command -v $${CC:-cc} >/dev/null 2>&1; then \
	  CGO_ENABLED=1 $(GO) test -race -skip 'ABenignHour|TestScript|TestMemoryOf|TestAnyOrder|EverySpelling|DoctorIsTrue' ./sink/... ./source/... ./internal/... ./cmd/orlop; \
	else echo "race tests skipped: no C compiler"; fi

# Each fuzz target for a while: make fuzz FUZZTIME=1m
FUZZTIME ?= 20s
fuzz:
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; \
	done

# What rules cost, beside fastjson, encoding/json, jq, ripgrep and grep, as a table; those
# that are not installed are named. BENCH=-benchstat prints what benchstat reads. The
# packages' own benchmarks: go test -run '^$' -bench . -benchmem ./...
BENCH ?=
bench:
	@$(GO) run ./cmd/bench $(BENCH)

# What watching costs, and how soon an alert comes: bpf, audit and proc against a host
# without a sensor and against auditd, in turn. Needs root, and a host with nothing else
# to do; auditd is measured where it is installed.
bench-live:
	$(GO) test -run '^$$' -bench Storm -benchtime 1x -timeout 30m ./cmd/orlop
	$(GO) test -run '^$$' -bench Latency -benchtime 300x -timeout 30m ./cmd/orlop
.PHONY: bench-live

# A million alerts in SQLite and in PostgreSQL: how fast they are stored, and how long the
# pages take that are made of them. Half an hour, on a machine with nothing else to do.
ALERTS ?= 1000000
bench-store:
	$(GO) test -run '^$$' -bench Pages -benchtime 1x -timeout 2h ./store -alerts $(ALERTS)
.PHONY: bench-store

# What goes wrong on a host, at length: a stopped reader, a full disk, a kill, a step of
# the clock, rules that change, 20,000 executions that bpf and audit see alike, and DRILL
# minutes of programs that start and end, for the memory of it. The tests do all but the
# last in short. As root, or it is skipped.
DRILL ?= 10
drill:
	ORLOP_DRILL=$(DRILL) $(GO) test -count=1 -timeout 60m -v -run 'Drill|ClockStep|SourcesAgree|BesideAuditd' ./cmd/orlop ./internal/agent
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
