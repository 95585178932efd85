#!/usr/bin/env bash
# shellcheck source=tests/conformance/lib.sh
source "$ROOT/tests/conformance/lib.sh"
# The node takes the text as it is.
cp main.wat "$module"
say_version "text form"
