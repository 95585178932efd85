#!/usr/bin/env bash
# Runs what CI runs: formatting, lints, all tests, documentation, licences, and the example modules against their sources.
# Stops at the first step that fails, names it, and ends with a table of durations.
#
#   test.sh             everything
#   test.sh STEP...     only these: install fmt clippy build test doc deny guests
#
# SERVERLEDGE_SKIP_GUEST_BUILD=1  compare the shipped modules with their records only; do not build them again
#
# What tests need is installed where it is missing: on Debian, as root. Everybody else is told what to install.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

all_steps=(install fmt clippy build test doc deny guests)

# Nodes that tests start must not read a configuration from the caller's environment.
for variable in "${!SERVERLEDGE_@}"; do
    case $variable in
        SERVERLEDGE_SKIP_GUEST_BUILD | SERVERLEDGE_TOOLS) ;;
        *) unset "$variable" ;;
    esac
done
export CARGO_TERM_PROGRESS_WHEN=never

# === steps ===

step_install() {
    local missing=() program_name
    c_compiles || missing+=(gcc libc6-dev)
    for program_name in curl git python3; do
        command -v "$program_name" >/dev/null || missing+=("$program_name")
    done
    ((${#missing[@]} == 0)) || install "what builds and tests need" "${missing[@]}"
    if [[ ${SERVERLEDGE_SKIP_GUEST_BUILD:-} != 1 ]]; then
        missing=()
        command -v clang >/dev/null || missing+=(clang)
        command -v wasm-ld >/dev/null || missing+=(lld)
        ((${#missing[@]} == 0)) || install "a compiler for the example in C" "${missing[@]}"
        wasm_compiles || install "the C library for wasm" wasi-libc "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev-wasm32"
    fi
    need_cargo
    say "$(rustc --version), $(cc --version | head -n 1)"
}

wasm_compiles() {
    printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' |
        clang --target=wasm32-wasi -x c - -o /dev/null 2>/dev/null
}

step_fmt() {
    local bad=0
    fmt_check Cargo.toml || bad=1
    fmt_check wasm-examples/Cargo.toml || bad=1
    return "$bad"
}

# Names the files that differ; `cargo fmt` shows nothing more useful, it just does it.
fmt_check() {
    local files
    files=$(cargo fmt --manifest-path "$1" --all -- --check -l) && return
    say "not formatted (cargo fmt --manifest-path $1 --all):"
    printf '%s\n' "$files" | sed "s|^$PWD/|  |"
    return 1
}

step_clippy() { cargo clippy --workspace --all-targets --locked -- -D warnings; }

# The end-to-end tests start the real programs.
step_build() { cargo build --workspace --locked; }

step_test() { cargo test --workspace --locked; }

step_doc() { RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked; }

step_deny() {
    if ! command -v cargo-deny >/dev/null; then
        say "cargo-deny not present, skipped"
        return
    fi
    local manifest checks=(bans licenses sources)
    if GIT_TERMINAL_PROMPT=0 cargo deny fetch db 2>/dev/null; then
        checks+=(advisories)
    else
        say "the database of advisories cannot be fetched: checking ${checks[*]} only"
    fi
    for manifest in Cargo.toml wasm-examples/Cargo.toml; do
        say "$manifest"
        cargo deny --manifest-path "$manifest" --locked --config deny.toml check --hide-inclusion-graph "${checks[@]}"
    done
}

step_guests() {
    if [[ ${SERVERLEDGE_SKIP_GUEST_BUILD:-} == 1 ]]; then
        say "SERVERLEDGE_SKIP_GUEST_BUILD=1: comparing with the records only"
        scripts/build-guests.sh --check
    else
        # Begins with what --check does.
        scripts/build-guests.sh --verify
    fi
}

# === run ===

names=() times=() outcomes=()
current='' began=0

record() {
    names+=("$current") times+=("$(words_of_us $(($(now_us) - began)))") outcomes+=("$1")
    current=''
}

# Also after Ctrl-C or a step that failed.
finish() {
    local status=$? i
    [[ -z $current ]] || record FAILED
    title "summary"
    for i in "${!names[@]}"; do
        printf '%-8s %14s  %s\n' "${names[$i]}" "${times[$i]}" "${outcomes[$i]}"
    done
    printf '%-8s %14s\n' total "$(words_of_us $(($(now_us) - whole)))"
    if ((status == 0)); then
        say "${green}all steps passed${plain}"
    else
        say "${red}step ${names[-1]:-none} failed${plain}"
    fi
}

for step in "$@"; do
    declare -F "step_$step" >/dev/null || fail "no step is called $step; there are: ${all_steps[*]}"
done
steps=("$@")
((${#steps[@]} > 0)) || steps=("${all_steps[@]}")

whole=$(now_us)
trap finish EXIT
for step in "${steps[@]}"; do
    title "$step"
    current=$step began=$(now_us)
    "step_$step"
    record ok
done
