#!/bin/sh
# Builds the function, runs it once on a node of its own, and compares the result.
set -eu
cd "$(dirname "$0")"

expected='{"message":"Hello, Ada!"}'
result=$(serverledge-cli run . -p name:Ada)
if [ "$result" != "$expected" ]; then
    printf 'the result is %s, not %s\n' "$result" "$expected" >&2
    exit 1
fi
echo passed
