#!/usr/bin/env bash
# How many of test262's tests for languages (`test/intl402`) pass on the runtime `javascript`, and how many in Node.js.
# Ends with 1 if one fails for no known reason, or passes though there is a reason why it should not.
#
#   javascript-test262.sh FOLDER           run them, and write the table into docs/javascript.md
#   javascript-test262.sh FOLDER --check   run them, and compare the table
#   javascript-test262.sh FOLDER PATH...   only the tests whose path in intl402 begins so; the table stays
#
# FOLDER is a clone of the repository tc39/test262 on GitHub, which no registry has. It takes two minutes.
# SERVERLEDGE_TEST_GUEST is another module to run instead of runtimes/javascript/javascript-intl.wasm.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"

command -v node >/dev/null || fail "node is missing, which runs the tests; install it (on Debian: nodejs)"
[[ $# -gt 0 && $1 != -* ]] || fail "name the folder first that has a clone of test262; ${BASH_SOURCE[0]} begins with its use"
exec node "$root/runtimes/javascript/tests/test262.js" "$@"
