#!/usr/bin/env bash
# A small edge-cloud continuum on this machine's loopback: an etcd, two edge nodes of one core each, and a node in the
# cloud. Deploys a function, overloads the first edge node, and shows where the calls ran: first there, then at the
# neighbour as well, then in the cloud. Then it stops what it started. Exit code 1 if the calls went elsewhere.
#
#   run.sh             build, start, overload, stop
#   run.sh --keep      the same, but everything keeps running until Ctrl-C, to try things out
#   run.sh --bin DIR   with the programs serverledge and serverledge-cli of this folder, instead of building them
#
# Needs curl and etcd; as root on Debian they are installed where they are missing.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"
program=edge-cloud

usage() { sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"; }

keep='' bin=''
while (($# > 0)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --keep) keep=1; shift ;;
        --bin) (($# >= 2)) || fail "--bin needs a folder"; bin=$(realpath -m -- "$2"); shift 2 ;;
        *) printf '%s\n' "$program: unknown argument $1" >&2; usage >&2; exit 1 ;;
    esac
done
# The machine's settings for another node are not for these.
for variable in "${!SERVERLEDGE_@}"; do unset "$variable"; done

nodes=(edge-1 edge-2 cloud)
# How long a node may take until it answers, and until all know each other and can run the function.
start_seconds_max=60
# A call of the function is to take about so long, so that a few clients are an overload on any machine.
call_us_min=200000
# The largest parameter that the function takes.
n_max=50000000
calls_per_client=5

work=$(mktemp -d)
etcd_dir=$work/etcd
declare -A pids=() ports=()

# shellcheck disable=SC2317  # called by the trap
# Ends by id what was started, waits for it, and removes its folder.
finish() {
    local status=$? name
    trap '' INT TERM
    for name in "${!pids[@]}"; do kill -TERM "${pids[$name]}" 2>/dev/null || true; done
    for name in "${!pids[@]}"; do
        while kill -0 "${pids[$name]}" 2>/dev/null; do wait "${pids[$name]}" 2>/dev/null || true; done
    done
    if [[ -d $etcd_dir ]]; then "$root/scripts/stop-etcd.sh" --dir "$etcd_dir" --wipe >/dev/null || true; fi
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'say; say "stopping"; exit 130' INT
trap 'exit 143' TERM

# === start ===

build() {
    if [[ -z $bin ]]; then
        title "build"
        cd "$root"
        need_cargo
        say "The first build takes several minutes."
        cargo build --release --locked -p serverledge-node -p serverledge-cli ||
            fail "the build failed"
        bin=$(cargo metadata --no-deps --locked --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release
        cd "$here"
    fi
    [[ -x $bin/serverledge && -x $bin/serverledge-cli ]] || fail "there is no serverledge and serverledge-cli in $bin"
    command -v curl >/dev/null || install "curl" curl
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# An etcd of its own, on two free ports below those that the system gives away.
start_etcd() {
    local tries=0 port
    until ((tries >= 10)); do
        tries=$((tries + 1)) port=$((20000 + RANDOM % 10000))
        if port_is_free "$port" && port_is_free "$((port + 1))" &&
            "$root/scripts/start-etcd.sh" --dir "$etcd_dir" --port "$port" --quota-mib 64 >"$work/etcd.log" 2>&1; then
            etcd=127.0.0.1:$port
            say "etcd    $etcd"
            return
        fi
    done
    cat "$work/etcd.log" >&2
    fail "etcd did not start"
}

# start_node NAME: with its file, and with what is different in each run.
start_node() {
    local name=$1 line
    mkfifo "$work/$name.stdout"
    # In a session of its own: Ctrl-C is for this script, which lets the nodes end what they run.
    SERVERLEDGE_API_PORT=0 SERVERLEDGE_DATA_DIR=$work/$name SERVERLEDGE_REGISTRY_URL=etcd://$etcd/edge-cloud/ \
        SERVERLEDGE_CLUSTER_KEY_FILE=$work/cluster.key \
        setsid "$bin/serverledge" "$here/$name.toml" >"$work/$name.stdout" 2>"$work/$name.log" </dev/null &
    pids[$name]=$!
    exec 3<"$work/$name.stdout"
    # Its one line on stdout comes when it answers requests; the pipe ends early if the node does.
    if ! IFS= read -r -t "$start_seconds_max" line <&3; then
        cat "$work/$name.log" >&2
        fail "the node $name did not start"
    fi
    exec 3<&-
    line=${line%% (*} ports[$name]=${line##*:}
    [[ ${ports[$name]} =~ ^[0-9]+$ ]] || fail "the node $name says \"$line\", which holds no address"
    printf '%-7s http://127.0.0.1:%s\n' "$name" "${ports[$name]}"
}

client() { "$bin/serverledge-cli" --port "${ports[edge-1]}" "$@"; }

# await WHAT COMMAND...: until the command succeeds.
await() {
    local what=$1 deadline=$((SECONDS + start_seconds_max))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || fail "waited $start_seconds_max s in vain: $what"
        sleep 0.1
    done
}

# Whether the first node may send calls to both others.
knows_the_others() {
    curl -sS --noproxy '*' "http://127.0.0.1:${ports[edge-1]}/peers" >"$work/peers" 2>/dev/null &&
        (($(grep -o '"offloadable":true' "$work/peers" | wc -l) == 2))
}

# === calls ===

# invoke NODE N MORE: prints the reply of one call to this node with the parameter N; MORE are further members.
invoke() {
    curl -sS --noproxy '*' -H content-type:application/json -d "{\"Params\":{\"n\":$2}$3}" \
        "http://127.0.0.1:${ports[$1]}/invoke/sieve" 2>&1 || true
}

member() { sed -n 's/.*"'"$1"'":"\{0,1\}\([^",}]*\).*/\1/p'; }

runs_itself() { [[ $(invoke "$1" 10 ',"CanDoOffloading":false' | member ExecutionNode) == "$1" ]]; }

# Finds parameters with which a call takes long enough to be a load here.
calibrate() {
    local answer seconds us
    n=500000 us=0
    while ((us < call_us_min && n < n_max)); do
        n=$((n * 2 < n_max ? n * 2 : n_max))
        answer=$(invoke edge-1 "$n" ',"CanDoOffloading":false')
        seconds=$(member Duration <<<"$answer")
        [[ $seconds =~ ^[0-9.e-]+$ ]] || fail "a call of edge-1 with n=$n gave no result: $answer"
        us=$(printf '%.0f' "${seconds}e6" 2>/dev/null || printf 0)
    done
    say "one call counts the primes up to $n, which takes $(words_of_us "$us") here; it reserves one core"
}

# A client: calls one after the other, beginning when all clients are there.
client_calls() {
    local each
    until [[ -e $work/begin ]]; do sleep 0.01; done
    for ((each = 0; each < calls_per_client; each++)); do invoke edge-1 "$n" "$1"; printf '\n'; done
}

faults=()
expect() { (($2)) || faults+=("$1"); }

# overload CLIENTS MORE WHAT: so many clients at once; prints where their calls ran, and keeps that in `ran`.
overload() {
    local each name
    local -a clients=()
    for ((each = 0; each < $1; each++)); do
        client_calls "$2" >"$work/answers.$each" &
        clients+=("$!")
    done
    touch "$work/begin"
    wait "${clients[@]}"
    rm "$work/begin"
    cat "$work"/answers.* >"$work/answers"
    rm -f "$work"/answers.*
    declare -gA ran=([edge-1]=0 [edge-2]=0 [cloud]=0 [EDGE]=0 [CLOUD]=0)
    while read -r name; do ran[$name]=$((${ran[$name]:-0} + 1)); done < <(member ExecutionNode <"$work/answers")
    while read -r name; do ran[$name]=$((${ran[$name]:-0} + 1)); done < <(member ExecutionArea <"$work/answers")
    calls=$(($1 * calls_per_client))
    printf '%7s %6s  %7s %7s %7s  %6s %6s  %6s   %s\n' "$1" "$calls" "${ran[edge-1]}" "${ran[edge-2]}" "${ran[cloud]}" \
        "${ran[EDGE]}" "${ran[CLOUD]}" "$((calls - ran[EDGE] - ran[CLOUD]))" "$3"
}

show_overload() {
    local some=',"QoSClass":2'
    title "calls to edge-1, and where they ran"
    calibrate
    say
    printf '%7s %6s  %7s %7s %7s  %6s %6s  %6s\n' '' '' node '' '' area '' ''
    printf '%7s %6s  %7s %7s %7s  %6s %6s  %6s\n' clients calls edge-1 edge-2 cloud EDGE CLOUD failed
    overload 1 "$some" "fits"
    expect "one client fits on edge-1" $((ran[edge-1] == calls))
    overload 2 "$some" "the neighbour helps"
    expect "the neighbour helps with two clients" $((ran[edge-2] > 0 && ran[EDGE] + ran[CLOUD] == calls))
    overload 6 "$some" "the edge is full: the cloud helps"
    expect "the cloud helps with six clients" $((ran[edge-2] > 0 && ran[cloud] > 0 && ran[EDGE] + ran[CLOUD] == calls))
    overload 6 "$some,\"CanDoOffloading\":false" "may not be offloaded: they wait for each other"
    expect "what may not be offloaded stays" $((ran[edge-1] == calls))
}

build
title "start"
head -c 32 /dev/urandom | base64 >"$work/cluster.key"
chmod 600 "$work/cluster.key"
start_etcd
for name in "${nodes[@]}"; do start_node "$name"; done

title "deploy, on one node"
client create --function sieve --src "$root/wasm-examples/sieve/sieve.wasm" --cpu 1 --memory 64
for name in "${nodes[@]}"; do await "$name runs the function" runs_itself "$name"; done
say "every node runs it: they share the registry"

title "the peers of edge-1"
await "edge-1 knows the others" knows_the_others
client peers

show_overload
for fault in "${faults[@]}"; do say "${red}not so: $fault$plain"; done
((${#faults[@]} == 0)) || fail "the calls ran elsewhere than they should; the last answers: $(head -c 2000 "$work/answers")"
if [[ -n $keep ]]; then
    title "all of it keeps running; Ctrl-C stops it"
    cat <<ADDRESSES
$bin/serverledge-cli --port ${ports[edge-1]} peers
$bin/serverledge-cli --port ${ports[edge-1]} invoke sieve -p n:$n --class availability
edge-1  http://127.0.0.1:${ports[edge-1]}   edge-2  http://127.0.0.1:${ports[edge-2]}   cloud  http://127.0.0.1:${ports[cloud]}
etcd    $etcd   (etcdctl --endpoints $etcd get --prefix --keys-only edge-cloud/)
logs    $work/*.log
ADDRESSES
    wait "${pids[@]}" || true
    fail "a node ended by itself"
fi
