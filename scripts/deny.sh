#!/usr/bin/env bash
# cargo-deny over licences, bans and sources; installs cargo-deny when it is missing (some minutes).
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
if ! cargo deny --version >/dev/null 2>&1; then
    echo "deny: building cargo-deny $version, once"
    cargo install -q --locked cargo-deny --version "$version"
fi
cargo deny check licenses bans sources
