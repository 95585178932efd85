#!/usr/bin/env bash
# Which modules run on a node: builds the guests of tests/conformance with their toolchains, deploys and calls each, runs the
# prebuilt tests of the WASI test suite, and compares with what is expected. Ends with 1 if anything is worse.
#
#   conformance.sh [--testsuite DIR]   a checkout of the WASI test suite with its prebuilt tests
#                  [--runner CMD]      what runs a module without a node, for tests that want a directory
#                  [--runner-grants http,sockets]
#                  [--only NAME,...]   only these guests; `testsuite` is the test suite
#                  [--quick]           only what builds in seconds: the part that CI runs
#                  [--require N]       fail if fewer guests than this work
#                  [--keep DIR]        where the modules stay from run to run
#                  [--bin DIR]         the folder of `serverledge`; by default a release build is made
#                  [--set KEY=VALUE]   a setting of the node
#                  [--write]           write docs/conformance.md
#                  [--list]
#
# Toolchains are installed in ${SERVERLEDGE_TOOLS:-.tools}/conformance by their ordinary clients (npm, pip, go, cargo, rustup, mvn),
# and a few from Debian, as root. A guest whose toolchain cannot be had is "not built". The first run takes about an hour and
# several gigabytes. SERVERLEDGE_CONFORMANCE_OFFLINE=1 installs nothing.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"
cd "$root"

folder_given() {
    local each
    for each; do [[ $each == --bin || $each == --bin=* || $each == --list || $each == --help || $each == -h ]] && return; done
    return 1
}

command -v python3 >/dev/null || install "what starts the node and compares" python3
more=()
if ! folder_given "$@"; then
    need_cargo
    say "building (release) ..."
    cargo build --release --locked --quiet -p serverledge-node
    more=(--bin "$(target_directory)/release")
elif [[ " $* " == *" --list "* ]]; then
    more=(--bin .)
fi
exec python3 -B "$root/scripts/conformance/conformance.py" "${more[@]}" "$@"
