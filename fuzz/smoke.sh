#!/usr/bin/env bash
# A short run of every fuzz target, on stable Rust: fuzz/smoke.sh [SECONDS [TARGET...]]
#
# Builds the targets with the coverage that libFuzzer needs, which the stable compiler can do through
# LLVM's own pass, and runs each for SECONDS (default 4) from its corpus, with a fixed seed. Fails on
# a crash, a hang or a leak, and then says how to run that input again. Needs a C++ compiler. For a
# long run use cargo-fuzz: see README.md.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=${1:-4}
if ! [[ $seconds =~ ^[1-9][0-9]*$ ]]; then
    printf 'usage: fuzz/smoke.sh [SECONDS [TARGET...]]; SECONDS is a whole number from 1\n' >&2
    exit 2
fi
shift || true
targets=("$@")
((${#targets[@]} > 0)) || targets=(request_head chunked response_head split_equality server_ops)

command -v c++ >/dev/null || {
    printf 'fuzz/smoke.sh: no C++ compiler, which libFuzzer is built with: apt-get install g++\n' >&2
    exit 1
}

coverage='-Cpasses=sancov-module'
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    coverage+=" -Cllvm-args=-sanitizer-coverage-$option"
done
# With --target the flags go to the targets alone, not to build scripts.
host=$(rustc -vV | sed -n 's/^host: //p')
binaries=()
for target in "${targets[@]}"; do
    binaries+=(--bin "$target")
done
printf 'building %s\n' "${targets[*]}"
RUSTFLAGS="--cfg fuzzing $coverage" \
    cargo build --locked --release --quiet --target "$host" "${binaries[@]}"
built=$(cargo metadata --locked --format-version 1 --no-deps |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/$host/release

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=()
for target in "${targets[@]}"; do
    mkdir -p "$scratch/$target" "artifacts/$target"
    # What is found goes into the first directory; the corpus of the tree is only read.
    if "$built/$target" -seed=1 -max_total_time="$seconds" -max_len=4096 -timeout=10 \
        -rss_limit_mb=1024 -dict=http.dict -print_final_stats=1 \
        -artifact_prefix="artifacts/$target/" "$scratch/$target" "corpus/$target" \
        >"$scratch/$target.log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$scratch/$target.log")
        cover=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$scratch/$target.log" | tail -n 1)
        printf '%-15s %9d inputs, %5d edges, no crash\n' "$target" "$runs" "$cover"
        ((runs > 0)) || failed+=("$target")
    else
        failed+=("$target")
        tail -n 60 "$scratch/$target.log"
        printf '%s FAILED; to run the input again: %s fuzz/artifacts/%s/<file>\n' \
            "$target" "$built/$target" "$target"
    fi
done
if ((${#failed[@]} > 0)); then
    printf 'failed: %s\n' "${failed[*]}"
    exit 1
fi
