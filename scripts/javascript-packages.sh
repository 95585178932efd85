#!/usr/bin/env bash
# Which packages of npm give on the runtime `javascript` what they give in Node.js: bundles a handler for each as the client
# does it, runs it in both, and compares the results byte for byte. Ends with 1 if one differs for no known reason.
#
#   javascript-packages.sh           compare, and write the table into docs/javascript.md
#   javascript-packages.sh --check   compare, and compare the table too
#   javascript-packages.sh NAME...   only these handlers; the table stays
#
# The handlers are those of runtimes/javascript/tests/packages, and the packages those of its package-lock.json. npm puts them
# into ${SERVERLEDGE_TOOLS:-.tools}/javascript-packages (560 MB), where they stay from run to run; their scripts are not run.
# SERVERLEDGE_TEST_GUEST is another module to run instead of those of runtimes/javascript.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"

tests=$root/runtimes/javascript/tests
tools=$(realpath -m "${SERVERLEDGE_TOOLS:-$root/.tools}")/javascript-packages

installed() { cmp -s "$tools/installed" "$tests/packages/package-lock.json"; }

install_packages() {
    installed && return
    command -v npm >/dev/null || fail "npm is missing, which installs the packages; install it (on Debian: npm)"
    say "installing the packages into $tools (some minutes) ..."
    mkdir -p "$tools"
    cp "$tests/packages/package.json" "$tests/packages/package-lock.json" "$tools"
    (cd "$tools" && npm ci --no-audit --no-fund --ignore-scripts --silent) ||
        fail "npm cannot install the packages of $tests/packages/package-lock.json; its log is in ~/.npm/_logs"
    cp "$tests/packages/package-lock.json" "$tools/installed"
}

command -v node >/dev/null || fail "node is missing, whose results are compared; install it (on Debian: nodejs)"
mode=()
case ${1:-} in
    '') mode=(--write) ;;
    --check) mode=(--check) ;;
    -*) fail "unknown option $1" ;;
    *) mode=("$@") ;;
esac
install_packages
exec node "$tests/packages.js" "$tools" "${mode[@]}"
