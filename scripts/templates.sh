#!/usr/bin/env bash
# Makes a folder of every template of `serverledge-cli new`, and runs its test: it is built, run once on a node of its own, and
# its result is compared.
#
#   templates.sh [TEMPLATE...]   these, or all
#
# Needs serverledge and serverledge-cli on the PATH, or built in target/release or target/debug. A template whose toolchain is not
# on this machine is left out, and named.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

all=(rust rust-http go c zig assemblyscript javascript typescript python hono)

# Whether the toolchain of a template is here.
can_build() {
    case $1 in
        rust) [[ -d $(rustc --print target-libdir --target wasm32-wasip1 2>/dev/null) ]] ;;
        rust-http) [[ -d $(rustc --print target-libdir --target wasm32-wasip2 2>/dev/null) ]] ;;
        go) command -v go >/dev/null ;;
        c)
            command -v clang >/dev/null && command -v wasm-ld >/dev/null &&
                clang --target=wasm32-wasi -fsyntax-only -xc - <<<'#include <stdio.h>' 2>/dev/null
            ;;
        zig) python3 -c 'import ziglang' 2>/dev/null ;;
        assemblyscript | typescript | hono) command -v npm >/dev/null ;;
        javascript | python) true ;;
        *) fail "unknown template: $1" ;;
    esac
}

programs=$(target_directory)
PATH=$PATH:$programs/release:$programs/debug
for name in serverledge serverledge-cli; do
    command -v "$name" >/dev/null || fail "$name is not built: cargo build"
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
left_out=() failed=()
# The toolchain of the folder in which cargo is started counts: outside of the repository that is the machine's.
cd "$folder"
(($# > 0)) || set -- "${all[@]}"
for template; do
    if ! can_build "$template"; then
        left_out+=("$template")
        continue
    fi
    serverledge-cli new "try-$template" --template "$template" >/dev/null
    if "try-$template/test.sh" >"$template.log" 2>&1; then
        say "$template works"
    else
        tail -n 20 "$template.log" >&2
        failed+=("$template")
    fi
done
((${#left_out[@]} == 0)) || say "left out, since their toolchains are not here: ${left_out[*]}"
((${#failed[@]} == 0)) || fail "these do not work: ${failed[*]}"
