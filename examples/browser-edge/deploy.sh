#!/usr/bin/env bash
# Deploys this example to a running node: two functions, and one function for each file of the page.
#
#   deploy.sh [APP]   makes the application APP (photos), or changes the one that there is
#
# Needs serverledge-cli (or the program that SERVERLEDGE_CLI names), which finds the node as always:
# SERVERLEDGE_URL, or SERVERLEDGE_HOST and SERVERLEDGE_PORT.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
app=${1:-photos}
client=${SERVERLEDGE_CLI:-serverledge-cli}
node=${SERVERLEDGE_URL:-http://${SERVERLEDGE_HOST:-127.0.0.1}:${SERVERLEDGE_PORT:-1323}}
node=${node%/}
# What the page may do: run scripts and modules of its own origin, in Workers, and ask its own origin. Nothing else.
policy="default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; connect-src 'self'; \
img-src data:; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# Where the file begins in the memory of site.wat.
body_at=4096

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

deploy() { "$client" --app "$app" create --update --no-wait "$@" >/dev/null; }
endpoint() { "$client" --app "$app" endpoint add "$@" >/dev/null; }

# The bytes of a file as sed puts them into a string of site.wat.
escaped() { od -An -v -tx1 "$1" | tr -d '\n' | sed 's/ /\\\\/g'; }

# A function of site.wat that answers with this file, and its endpoint: page PATH FILE TYPE.
page() {
    local path=$1 file=$2 type=$3 name=page-${1//./-} length
    length=$(wc -c <"$file")
    {
        printf 's|@TYPE@|%s|; s|@TYPE_LENGTH@|%d|\n' "$type" ${#type}
        printf 's|@POLICY@|%s|; s|@POLICY_LENGTH@|%d|\n' "$policy" ${#policy}
        printf 's|@BODY_END@|%d|; s|@BODY@|%s|\n' $((body_at + length)) "$(escaped "$file")"
    } >"$scratch/$name.sed"
    sed -f "$scratch/$name.sed" "$here/site.wat" >"$scratch/$name.wat"
    deploy -f "$name" --src "$scratch/$name.wat"
    endpoint "$path" --method GET --function "$name"
    printf 'GET  /%s\n' "$path"
}

"$client" app show "$app" >/dev/null 2>&1 || "$client" app create "$app" >/dev/null
# The page has its own origin, with storage and a service worker.
"$client" app settings "$app" --own-origin true >/dev/null

deploy -f thumbnail --src "$here/../../wasm-examples/thumbnail/thumbnail.wasm" --memory 256 --edge
deploy -f gallery --src "$here/gallery.js"
endpoint gallery --function gallery
printf 'POST /gallery\n'

page index.html "$here/index.html" 'text/html; charset=utf-8'
page style.css "$here/style.css" text/css
page page.js "$here/page.js" text/javascript
page service-worker.js "$here/service-worker.js" text/javascript

"$client" app start "$app" >/dev/null
case $node in
    http://127.0.0.1:* | http://localhost:*) printf 'open http://%s.localhost:%s/index.html\n' "$app" "${node##*:}" ;;
    *) printf 'open /index.html at the host name of %s: %s.DOMAIN, with platform.domain of the node\n' "$app" "$app" ;;
esac
