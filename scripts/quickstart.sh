#!/usr/bin/env bash
# From a fresh Debian machine to functions that answer: builds the node, starts it on 127.0.0.1:1323, deploys the examples
# of wasm-examples/ and two scripts of examples/, and two in containers if there is a Docker Engine with the images of runtimes/, calls each of them,
# prints what happened, and leaves the node running until Ctrl-C.
#
#   quickstart.sh           build, start, deploy, call; then stay in the foreground
#   quickstart.sh --once    the same with data in a temporary folder; then stop the node. Exit code 1 if anything failed
#   --bin DIR               take the programs of a folder, which are built already
#
# SERVERLEDGE_API_PORT=8080        another port; 0 takes a free one
# SERVERLEDGE_DATA_DIR=/some/dir   another folder for the node's data
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"

usage() { sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"; }

once='' bin=''
while (($# > 0)); do
    case $1 in
        --once) once=1 ;;
        --bin) bin=${2:?--bin needs a folder}; shift ;;
        -h | --help) usage; exit 0 ;;
        *) printf '%s\n' "quickstart: unknown argument $1" >&2; usage >&2; exit 1 ;;
    esac
    shift
done

# A path of the caller's is relative to where the caller is.
[[ -z $bin ]] || bin=$(realpath -m "$bin")
if [[ -n ${SERVERLEDGE_DATA_DIR:-} ]]; then
    SERVERLEDGE_DATA_DIR=$(realpath -m "$SERVERLEDGE_DATA_DIR")
    export SERVERLEDGE_DATA_DIR
fi
cd "$root"
port=${SERVERLEDGE_API_PORT:-1323}
[[ $port =~ ^[0-9]{1,5}$ ]] || fail "SERVERLEDGE_API_PORT is $port, which is no port"

# === the node's process ===

work=$(mktemp -d)
node_pid=''
began=$(now_us)
# Seconds that the node may take until it answers; with thousands of functions it takes a fraction of a second.
start_seconds_max=60

# shellcheck disable=SC2317  # called by the trap
# Ends the node by its id, and waits: it lets calls that run end first.
stop_node() {
    [[ -n $node_pid ]] || return 0
    local pid=$node_pid
    node_pid=''
    kill -TERM "$pid" 2>/dev/null || true
    # A signal to this script interrupts the waiting, not the node's end.
    while kill -0 "$pid" 2>/dev/null; do wait "$pid" 2>/dev/null || true; done
}

# shellcheck disable=SC2317  # called by the trap
finish() {
    local status=$?
    trap '' INT TERM
    stop_node
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'say; say "stopping"; exit 130' INT
trap 'exit 143' TERM

port_is_taken() { [[ $port != 0 ]] && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

refuse_taken_port() {
    ! port_is_taken || fail "port $port of 127.0.0.1 is in use by another program.
Stop that program, or choose another port: SERVERLEDGE_API_PORT=$((port % 60000 + 1)) scripts/quickstart.sh${once:+ --once}${bin:+ --bin $bin}"
}

prepare() {
    title "prerequisites"
    refuse_taken_port
    command -v curl >/dev/null || install "curl" curl ca-certificates
    [[ -z $bin ]] || return 0
    c_compiles || install "a C compiler and linker" gcc libc6-dev
    need_cargo
    say "$(rustc --version)"
    say "$(cc --version | head -n 1)"
}

build() {
    local begun target
    if [[ -n $bin ]]; then
        node=$bin/serverledge cli=$bin/serverledge-cli
        [[ -x $node && -x $cli ]] || fail "$bin holds no serverledge and serverledge-cli"
        return
    fi
    title "build"
    target=$(target_directory)
    node=$target/release/serverledge cli=$target/release/serverledge-cli
    [[ -x $node ]] || say "The first build takes several minutes (about ten on two cores)."
    begun=$(now_us)
    cargo build --release --locked -p serverledge-node -p serverledge-cli || fail "the build failed"
    say "built in $(words_of_us $(($(now_us) - begun))): $(relative "$node"), $(relative "$cli")"
}

# A path as it is typed in the root of the project.
relative() { printf '%s' "${1#"$root"/}"; }

start() {
    title "start"
    refuse_taken_port
    local begun line
    if [[ -z ${SERVERLEDGE_DATA_DIR:-} && -n $once ]]; then
        export SERVERLEDGE_DATA_DIR=$work/data
    fi
    export SERVERLEDGE_API_PORT=$port
    data=$("$node" --check-config 2>/dev/null | sed -n 's/^data\.dir = "\(.*\)".*/\1/p') || true
    mkfifo "$work/stdout"
    begun=$(now_us)
    "$node" >"$work/stdout" 2>"$work/node.log" &
    node_pid=$!
    exec 3<"$work/stdout"
    # The node's one line on stdout comes when it answers requests; it ends early if the node does.
    if ! IFS= read -r -t "$start_seconds_max" line <&3; then
        cat "$work/node.log" >&2
        fail "the node did not start"
    fi
    url=$(grep -o 'http://[^ ]*' <<<"$line") || fail "the node says \"$line\", which holds no address"
    host=${url#http://} host=${host%:*} port=${url##*:}
    say "$line"
    say "ready after $(words_of_us $(($(now_us) - begun)))"
    say "data: ${data:-see serverledge --check-config}$([[ ${data:-} != "$work"/* ]] || printf ' (removed at the end)')"
    say "log:  $work/node.log"
}

# === steps ===

done_count=0
failed_steps=()

# Shows one step: outcome, time in microseconds, what was typed, what came.
show() {
    local outcome=$1 us=$2 command=$3 result=$4 colour=$green
    [[ $outcome == ok ]] || colour=$red
    done_count=$((done_count + 1))
    [[ $outcome == ok ]] || failed_steps+=("$command")
    printf '%s%-6s%s %9s  %s\n' "$colour" "$outcome" "$plain" "$(words_of_us "$us")" "$command"
    ((${#result} <= 160)) || result="${result:0:150}... (${#result} characters)"
    printf '%s%-18s%s%s\n' "$dim" '' "$result" "$plain"
}

# The text of a member of the JSON that the client prints, one member a line, with its escapes undone.
member() {
    sed -n 's/^\t"'"$1"'": "\(.*\)",\{0,1\}$/\1/p' "$2" | sed 's/\\\(.\)/\1/g'
}

# Runs the client with this node's address. Its answer goes to $work/out, its complaints to $work/err.
client() { "$cli" --host "$host" --port "$port" --json "$@" >"$work/out" 2>"$work/err" </dev/null; }

# The fault of a failed call, in one line.
complaint() { tr -s '\n\t ' ' ' <"$work/err"; }

# deploy NAME FILE ARGUMENT...
deploy() {
    local name=$1 file=$2 begun us
    shift 2
    begun=$(now_us)
    if client create --update --function "$name" --src "$file" "$@"; then
        us=$(($(now_us) - begun))
        show ok "$us" "$(shown serverledge-cli create --update -f "$name" --src "$file" "$@")" \
            "$(member Interface "$work/out"), version $(member Version "$work/out" | cut -c1-12), $(stat -c %s "$file" | numfmt --to=iec-i --suffix=B)"
    else
        show FAILED $(($(now_us) - begun)) "$(shown serverledge-cli create --update -f "$name" --src "$file" "$@")" "$(complaint)"
    fi
}

# Outcome of a step whose result is to be, or to contain, an expected text.
judge() { if [[ $1 == *"$2"* ]]; then printf ok; else printf FAILED; fi; }

# call NAME EXPECTED ARGUMENT...: through the client.
call() {
    local name=$1 expected=$2 begun us result outcome=FAILED
    shift 2
    begun=$(now_us)
    if client invoke -f "$name" "$@"; then
        us=$(($(now_us) - begun))
        result=$(member Result "$work/out")
        outcome=$(judge "$result" "$expected")
    else
        us=$(($(now_us) - begun)) result=$(complaint)
    fi
    show "$outcome" "$us" "$(shown serverledge-cli invoke -f "$name" "$@")" "$result"
}

# get STATUS PATH EXPECTED ARGUMENT...: through curl. Shows how long the function itself ran, from Server-Timing.
get() {
    local wanted=$1 path=$2 expected=$3 status result outcome=FAILED begun us run
    shift 3
    begun=$(now_us)
    status=$(curl -sS --noproxy '*' -D "$work/head" -o "$work/out" -w '%{http_code}' "$@" "$url$path" 2>"$work/err" </dev/null) || status=0
    us=$(($(now_us) - begun))
    if [[ $status == "$wanted" ]]; then
        result=$(<"$work/out")
        outcome=$(judge "$result" "$expected")
    elif [[ $status == 0 ]]; then
        result=$(complaint)
    else
        result="$status instead of $wanted: $(<"$work/out")"
    fi
    run=$(sed -n 's/^server-timing:.*exec;dur=\([0-9.]*\).*/, the function ran \1 ms/ip' "$work/head" 2>/dev/null) || true
    show "$outcome" "$us" "$(shown curl "$@" "$url$path")" "$status$run: $result"
}

# Words as they are typed in a shell.
shown() {
    local each separator=
    for each; do
        case $each in
            *[!a-zA-Z0-9_./:=@%-]*) printf "%s'%s'" "$separator" "$each" ;;
            *) printf '%s%s' "$separator" "$each" ;;
        esac
        separator=' '
    done
}

# both NAME PARAMS EXPECTED ARGUMENT...: the same call through curl, and through the client with these arguments.
both() {
    local name=$1 params=$2 expected=$3
    shift 3
    call "$name" "$expected" "$@"
    get 200 "/fn/$name" "$expected" -H content-type:application/json -d "$params"
}

call_thumbnail() {
    local input=$work/thumbnail.json
    if command -v python3 >/dev/null; then
        python3 wasm-examples/thumbnail/make-input.py --size 640x480 --box 128x128 "$input"
        say "${dim}made with wasm-examples/thumbnail/make-input.py: a picture of 640x480, $(($(stat -c %s "$input") / 1024)) KiB of parameters$plain"
        call thumbnail '"format":"png","width":128,"height":96' --params-file "$input"
        get 200 /fn/thumbnail '"format":"png","width":128,"height":96' -H content-type:application/json -d "@$input"
    else
        say "${dim}python3, which draws a larger picture, is missing: using the first example$plain"
        sed -n '2s/^  {"params": \(.*\), "result": .*/\1/p' wasm-examples/thumbnail/examples.json >"$input"
        call thumbnail '"format":"png","width":6,"height":4' --params-file "$input"
        get 200 /fn/thumbnail '"format":"png","width":6,"height":4' -H content-type:application/json -d "@$input"
    fi
}

# Accepted at once, run in the background, asked for by id.
call_asynchronously() {
    local begun id
    begun=$(now_us)
    if ! client invoke -f sieve -p n:1000000 --async; then
        show FAILED $(($(now_us) - begun)) "serverledge-cli invoke -f sieve -p n:1000000 --async" "$(complaint)"
        return
    fi
    id=$(member ReqId "$work/out")
    show ok $(($(now_us) - begun)) "serverledge-cli invoke -f sieve -p n:1000000 --async" "$id"
    begun=$(now_us)
    if client poll "$id" --wait; then
        local result
        result=$(member Result "$work/out")
        show "$(judge "$result" '"count":78498')" $(($(now_us) - begun)) "serverledge-cli poll $id --wait" "$result"
    else
        show FAILED $(($(now_us) - begun)) "serverledge-cli poll $id --wait" "$(complaint)"
    fi
}

deploy_all() {
    title "deploy"
    say "A module is compiled when it is deployed, never when it is called. Functions of the same names are replaced."
    local name
    for name in hello sieve markdown thumbnail word-count echo-http add call-chain; do
        deploy "$name" "wasm-examples/$name/$name.wasm"
    done
    say "A script is loaded once, when it is deployed; what came of it is a module like the others."
    deploy greet examples/hello.js
    deploy primes examples/sieve.js
    say "Python likewise. The first of its functions has its interpreter compiled, once for the node."
    deploy prime-check examples/isprime.py
}

call_all() {
    title "call: through the client, and as plain HTTP"
    say "Every call gets a fresh sandbox. Times include starting serverledge-cli or curl."
    call hello '{"message":"Hello, Ada!"}' -p name:Ada
    get 200 '/fn/hello?name=Ada' '{"message":"Hello, Ada!"}'
    both sieve '{"n":20}' '{"n":20,"count":8,"largest":19,"primes":[2,3,5,7,11,13,17,19]}' -p n:20
    both markdown '{"markdown":"# Hi"}' '{"html":"<h1>Hi</h1>\n"}' -p 'markdown:# Hi'
    call_thumbnail
    both word-count '{"text":"a b a"}' '{"words":3,"lines":1,"characters":5,"top":[{"word":"a","count":2},{"word":"b","count":1}]}' -p 'text:a b a'
    call echo-http '"method":"POST"' -p name:Ada
    get 200 '/fn/echo-http/some/path?x=1' '"path":"/some/path?x=1"' -X PUT -d hi
    both add '{"a":2,"b":3}' '{"sum":5}' -p a:2 -p b:3
    both call-chain '{"a":2,"b":3}' '{"double":10}' -p a:2 -p b:3
    both greet '{"name":"Ada"}' 'Hello, Ada!' -p name:Ada
    both primes '{"limit":100000}' '"count":9592' -p limit:100000
    both prime-check '{"n":1000003}' '"prime":true' -p n:1000003
    title "an asynchronous call"
    call_asynchronously
    title "calls that must fail, and say why"
    get 502 '/fn/sieve?n=-1' '"code":"function_error"'
    get 404 /fn/missing '"code":"function_unknown"'
}

# Python and Node.js, where there is a Docker Engine with their images. Without, everything else works all the same.
use_containers() {
    title "functions in containers"
    local name
    if ! docker_answers; then
        say "No Docker Engine answers here: functions in Python and Node.js, which run in containers, are left out."
        say "With Podman: DOCKER_HOST=unix:///run/podman/podman.sock (docs/containers.md)."
    elif ! images_are_there; then
        say "The Docker Engine has no images for Python and Node.js. To make them (as root, about two minutes), and then try again:"
        say "    runtimes/build.sh --offline"
    else
        say "The first call starts a container; the next ones find it warm."
        for name in py js; do
            deploy "hello-$name" "examples/hello.$name" --runtime "$([[ $name == py ]] && printf python || printf nodejs)"
            both "hello-$name" '{"name":"Ada"}' Ada -p name:Ada
        done
    fi
}

summarise() {
    title "summary"
    local each
    say "$done_count steps, ${#failed_steps[@]} failed, $(words_of_us $(($(now_us) - began))) in all"
    for each in "${failed_steps[@]}"; do say "${red}failed: $each$plain"; done
    if ((${#failed_steps[@]} > 0)); then
        say "the node's log:"
        tail -n 20 "$work/node.log"
    fi
}

suggest() {
    local command address=''
    command=$(relative "$cli")
    [[ $port == 1323 ]] || address=" --port $port"
    title "what to try next, in another terminal"
    cat <<SUGGESTIONS
$command$address list
$command$address status
$command$address invoke hello --param name:you
curl '$url/fn/sieve?n=100'
curl -N '$url/fn/echo-http/stream?chunks=5&pause_ms=500'

$url/docs   the API, to read and to try in a browser
docs/guest-abi.md            a first function of your own in Rust, C or WebAssembly text
README.md                    where to go from there
SUGGESTIONS
}

prepare
build
start
deploy_all
call_all
use_containers
summarise
if [[ -n $once ]]; then
    pid=$node_pid
    title "stop"
    kill -TERM "$pid"
    if wait "$pid"; then say "the node stopped by itself after SIGTERM"; else failed_steps+=("stopping the node"); fi
    node_pid=''
    ((${#failed_steps[@]} == 0)) || fail "failed: ${#failed_steps[@]} of $done_count steps"
    exit 0
fi
suggest
title "the node runs at $url; Ctrl-C stops it"
status=0
wait "$node_pid" || status=$?
# Only when the node ends by itself: a signal to this script ends it in the trap.
cat "$work/node.log" >&2
node_pid=''
fail "the node ended with code $status"
