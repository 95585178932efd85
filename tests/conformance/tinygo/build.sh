#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
cannot "TinyGo is in none of the registries that this script uses: neither Go's module proxy nor Debian 12 has it"
