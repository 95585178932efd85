#!/usr/bin/env bash
# Makes the image serverledge-example-custom:latest.
#
#   build.sh             on the official Python image, which needs a registry
#   build.sh --offline   on serverledge-python:latest, which runtimes/build.sh --offline makes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

fail() { printf '%s\n' "build: $*" >&2; exit 1; }

command -v docker >/dev/null || fail "docker is missing; install it (on Debian: apt-get install docker.io)"
base=()
case ${1:-} in
    '') ;;
    --offline)
        docker image inspect serverledge-python:latest >/dev/null 2>&1 ||
            fail "there is no image serverledge-python:latest; make it first: runtimes/build.sh --offline python"
        base=(--build-arg BASE=serverledge-python:latest)
        ;;
    *) fail "what is '$1'? Only --offline is known" ;;
esac
docker build --quiet "${base[@]}" --tag serverledge-example-custom:latest . >/dev/null
printf '%s\n' "serverledge-example-custom:latest is there; deploy it:
  serverledge-cli create -f words --custom-image serverledge-example-custom:latest"
