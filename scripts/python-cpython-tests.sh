#!/usr/bin/env bash
# How many of CPython's own tests pass on the runtime `python-wasm`. Ends with 1 if one fails for no known reason, or passes
# though there is a reason why it should not.
#
#   python-cpython-tests.sh             run them, and write the tables into docs/python.md and docs/python-tests.md
#   python-cpython-tests.sh --check     run them, and compare the tables
#   python-cpython-tests.sh --quick     only a few modules, and no table
#   python-cpython-tests.sh --record    run them, and write the tests that fail into failures.txt
#   python-cpython-tests.sh MODULE...   only these modules (test_json, test_email.test_message); the tables stay
#
# The tests are those of Debian's source package, in the version that the runtime is built from. They are unpacked below
# ${SERVERLEDGE_TOOLS:-.tools}/python-wasm, and nothing of them is in this repository. modules.txt and failures.txt in
# runtimes/python-wasm/tests/cpython say which are run, and which fail. It takes some four minutes on two cores.
# SERVERLEDGE_TEST_GUEST is another module to run instead of runtimes/python-wasm/python.wasm.br, not packed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"
# shellcheck source=scripts/python-debian.sh
source "$root/scripts/python-debian.sh"

command -v node >/dev/null || fail "node is missing, which runs the sandbox; install it (on Debian: nodejs)"
prepare_python
exec node "$here/tests/cpython.js" "$library" "$("$python" -c 'import platform; print(platform.python_version())')" "$@"
