#!/usr/bin/env bash
# Which packages of PyPI give on the runtime `python-wasm` what they give in CPython for this machine: runs a handler for each in
# both, and compares the results byte for byte. Ends with 1 if one differs for no known reason.
#
#   python-packages.sh           compare, and write the table into docs/python.md
#   python-packages.sh --check   compare, and compare the table too
#   python-packages.sh NAME...   only these handlers; the table stays
#
# The handlers are those of runtimes/python-wasm/tests/packages, and each names its packages. pip fetches them with the client's
# own arguments into ${SERVERLEDGE_TOOLS:-.tools}/python-packages, where they stay from run to run. CPython is Debian's.
# SERVERLEDGE_TEST_GUEST is another module to run instead of runtimes/python-wasm/python.wasm.br, not packed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"
# shellcheck source=scripts/python-debian.sh
source "$root/scripts/python-debian.sh"

command -v node >/dev/null || fail "node is missing, which runs the sandbox; install it (on Debian: nodejs)"
command -v pip3 >/dev/null || fail "pip is missing, which fetches the packages; install it (on Debian: python3-pip)"
mode=()
case ${1:-} in
    '') mode=(--write) ;;
    --check) mode=(--check) ;;
    -*) fail "unknown option $1" ;;
    *) mode=("$@") ;;
esac
prepare_python
# The machine's pip is run by that CPython: so packages get the Python that they ask for.
pip=$(pip3 --version | sed -nE 's/^pip [^ ]+ from (.*) \(python .*/\1/p')
[[ -f $pip/__main__.py ]] || fail "pip3 does not say where it is installed"
exec node "$here/tests/packages.js" "$python" "$pip" "$(dirname "$tools")/python-packages" "${mode[@]}"
