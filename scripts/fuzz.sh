#!/usr/bin/env bash
# Runs the fuzz targets, each for some seconds, on the stable toolchain: LLVM's coverage pass is asked
# for by hand, so neither nightly nor cargo-fuzz is needed.
#
#   scripts/fuzz.sh [--seconds N] [TARGET...]
#
# It starts from the committed seeds in fuzz/corpus/TARGET and leaves them alone; a finding is written
# to fuzz/artifacts/TARGET and fails the run.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=60
targets=()
while [ $# -gt 0 ]; do
    case "$1" in
        --seconds) seconds="$2"; shift 2 ;;
        -h | --help) sed -n '2,9p' "$0"; exit 0 ;;
        *) targets+=("$1"); shift ;;
    esac
done
if [ ${#targets[@]} -eq 0 ]; then
    for file in fuzz/targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
export CARGO_TARGET_DIR="${FUZZ_TARGET_DIR:-fuzz/target}"
echo "fuzz: building ${#targets[@]} target(s)"
cargo build -q --locked --release --manifest-path fuzz/Cargo.toml --target "$host"

# Runs one target; prints its sums, or the end of its log when it fails.
fuzz() {
    local target="$1" scratch log
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    # New inputs go to a scratch folder.
    scratch=$(mktemp -d)
    log="$scratch.log"
    if ! "$binaries/$target" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=2048 -max_len=4096 -artifact_prefix="fuzz/artifacts/$target/" \
        -print_final_stats=1 "$scratch" "fuzz/corpus/$target" >"$log" 2>&1; then
        tail -40 "$log"
        echo "fuzz: $target FAILED; the input is in fuzz/artifacts/$target" >&2
        return 255
    fi
    echo "fuzz: $target for ${seconds} s:$(sed -nE \
        's/^stat::(number_of_executed_units|new_units_added): +/ \1 /p' "$log" | tr '\n' ',')"
    rm -rf "$scratch" "$log"
}

# One on each core; the first finding ends it (255 is what xargs stops at).
export binaries="$CARGO_TARGET_DIR/$host/release" seconds
export -f fuzz
printf '%s\0' "${targets[@]}" | xargs -0 -P "$(nproc)" -I{} bash -c 'fuzz {}'
echo "fuzz: ${#targets[@]} target(s) passed, no finding"
