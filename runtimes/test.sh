#!/usr/bin/env bash
# Tests the agents: as plain processes with the python3 and node of this machine, then in the images, as the node starts them.
# Tests the JavaScript guest with node, which it needs no other part of Serverledge for.
#
#   test.sh              in the images too, where Docker has them; says so where it has not
#   test.sh --images     fails where it has not
#   test.sh --processes  without the images
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

has_image() { command -v docker >/dev/null && docker image inspect "serverledge-$1:latest" >/dev/null 2>&1; }

run() { (cd runtimes/tests && python3 -B -m unittest --quiet "$@"); }

suites_of() { printf '%s.'"$1"'\n' test_conformance test_languages test_calls test_kv test_logs test_outbound; }

where=${1:-}
case $where in
    '' | --images | --processes) ;;
    *) fail "what is '$where'? --images or --processes" ;;
esac
command -v python3 >/dev/null || install "what runs the tests" python3
started=$(now_us)
suites=() left_out=()
for runtime in python nodejs; do
    interpreter=$([[ $runtime == python ]] && echo python3 || echo node)
    name=${runtime^}
    if command -v "$interpreter" >/dev/null; then
        mapfile -t -O "${#suites[@]}" suites < <(suites_of "${name}Process")
    else
        left_out+=("$runtime as a process: there is no $interpreter here")
    fi
    [[ $where != --processes ]] || continue
    if has_image "$runtime"; then
        mapfile -t -O "${#suites[@]}" suites < <(suites_of "${name}Image")
    else
        left_out+=("$runtime in its image: Docker has no serverledge-$runtime:latest; runtimes/build.sh makes it")
    fi
done
for each in "${left_out[@]}"; do
    [[ $where != --images ]] || fail "$each"
    say "left out: $each"
done
((${#suites[@]})) || fail "nothing is left to test"
# Both runtimes in one file.
if command -v node >/dev/null; then suites+=(test_variables.VariablesInProcesses); fi
if [[ $where != --processes ]] && has_image python && has_image nodejs; then suites+=(test_variables.VariablesInImages); fi
# The examples are in both languages.
if command -v node >/dev/null; then suites+=(test_examples); fi
run "${suites[@]}" || fail "the tests failed"
if command -v node >/dev/null; then
    node --test --test-reporter=dot runtimes/javascript/tests/*.test.js || fail "the tests of the JavaScript guest failed"
    node --test --test-reporter=dot runtimes/python-wasm/tests/*.test.js || fail "the tests of the Python guest failed"
else
    say "left out: the JavaScript guest: there is no node here"
fi
say "the runtimes passed in $(words_of_us $(($(now_us) - started)))"
