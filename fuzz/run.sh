#!/usr/bin/env bash
# Runs fuzz targets: run.sh SECONDS [TARGET...], all of them without names, one after the other, each from
# its seeds and what it found before. Ends with 1 at the first finding, which lies in fuzz/artifacts.
# Needs: rustup toolchain install nightly; cargo install cargo-fuzz --locked
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=$1
shift
targets=("$@")
((${#targets[@]})) || mapfile -t targets < <(cargo +nightly fuzz list)
export TMPDIR=${TMPDIR:-/dev/shm}

for target in "${targets[@]}"; do
    echo "== $target"
    mkdir -p "fuzz/corpus/$target"
    cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=10 -max_len=65536 -print_final_stats=1
done
