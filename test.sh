#!/usr/bin/env bash
# Passes every test: layout, formatting, lints, documentation, licences, unit and property tests,
# fuzz targets (bounded), the simulated network, namespaces with the real binary, and a real peer in
# a virtual machine. Installs what it needs. `./test.sh quick` leaves the real peer and cargo-deny out.
set -euo pipefail
cd "$(dirname "$0")"

mode="${1:-all}"
started=$SECONDS
step() { printf '\n==> [%4ds] %s\n' $((SECONDS - started)) "$*"; }

step "packages"
scripts/packages.sh gcc g++ pkg-config iproute2 iputils-ping nftables openssl libipsec-mb1 iperf3 curl python3 tcpdump procps

step "tidy: layout, sizes, dependency arrows"
cargo run -q -p xtask -- tidy

step "formatting"
cargo fmt --all --check

step "clippy, no warnings"
cargo clippy -q --workspace --all-targets -- -D warnings

step "documentation, no warnings"
RUSTDOCFLAGS="-D warnings" cargo doc -q --workspace --no-deps

step "unit, property, exchange and simulation tests"
cargo test -q --workspace --exclude isthmus-netns --exclude isthmus-interop

step "fuzz targets, bounded"
scripts/fuzz.sh --seconds "${FUZZ_SECONDS:-10}"

step "building the program"
cargo build -q -p isthmus

step "namespaces with the real binary"
cargo test -p isthmus-netns -- --test-threads=2

if [ "$mode" = all ]; then
    step "licences, sources, bans"
    scripts/deny.sh

    step "a real peer in a virtual machine (strongSwan, xl2tpd, pppd)"
    test/interop/lab/build.sh
    cargo test -p isthmus-interop
fi

step "everything passed"
