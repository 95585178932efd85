#!/usr/bin/env bash
# Tries what is in this folder: checks the units and the compose file, then sets up a cluster of three machines with the
# playbook, twice, and uses it. The machines are network, mount and process namespaces of this one, each with a systemd of its
# own as the first process and with this machine's files under a layer of its own, so that the units run under systemd, with
# everything that they are denied. Nothing of this machine is changed.
#
#   test.sh             with the programs that `cargo build` has made
#   test.sh --bin DIR   with the programs of this folder
#
# Needs root, and Debian packages, which are installed where they are missing.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"
program=deploy/test

usage() { sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"; }

bin=''
while (($# > 0)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --bin) (($# >= 2)) || fail "--bin needs a folder"; bin=$(realpath -m -- "$2"); shift 2 ;;
        *) printf '%s\n' "$program: unknown argument $1" >&2; usage >&2; exit 1 ;;
    esac
done
((EUID == 0)) || fail "namespaces and a systemd of one's own need root"
cd "$root"

machines=(edge-1 edge-2 cloud-1)
declare -A address=([edge-1]=10.199.0.11 [edge-2]=10.199.0.12 [cloud-1]=10.199.0.21)
declare -A starter=() init=()
boot_seconds_max=60
tag=sl-deploy-$$
work=$(mktemp -d)
groups=''

# === what there must be ===

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need ansible-playbook ansible-core
need ip iproute2
need etcd etcd-server
need openssl openssl
need curl curl
need docker-compose docker-compose
need nsenter util-linux
[[ -x /lib/systemd/systemd ]] || missing+=(systemd)
/usr/bin/python3 -c 'import apt' 2>/dev/null || missing+=(python3-apt)
if ((${#missing[@]} > 0)); then
    install "what deploys and is deployed" "${missing[@]}"
    # On a machine with a service manager, the package has just started an etcd of this machine's own.
    if [[ " ${missing[*]} " == *" etcd-server "* && -d /run/systemd/system ]]; then
        systemctl disable --now etcd.service >/dev/null 2>&1 || true
    fi
fi
if [[ -z $bin ]]; then
    need_cargo
    bin=$(target_directory)/debug
fi
[[ -x $bin/serverledge && -x $bin/serverledge-cli ]] || fail "there is no serverledge and serverledge-cli in $bin; make them: scripts/test.sh build"

# === machines ===

# shellcheck disable=SC2317  # called by the trap
finish() {
    local status=$? name group
    trap '' INT TERM
    # With a machine's init everything in it ends.
    for name in "${!starter[@]}"; do kill -KILL "${starter[$name]}" 2>/dev/null || true; done
    for name in "${!starter[@]}"; do wait "${starter[$name]}" 2>/dev/null || true; done
    for name in "${machines[@]}" hub; do ip netns delete "$tag-$name" 2>/dev/null || true; done
    if [[ -n $groups ]]; then
        for group in "$groups/$tag"-*; do
            [[ ! -d $group ]] || until_seconds 10 remove_group "$group" || say "$group is left behind"
        done
        [[ $groups != "$work"/* ]] || umount "$groups" || true
    fi
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'say; say "stopping"; exit 130' INT
trap 'exit 143' TERM

# until_seconds N COMMAND...: until it succeeds, at most so long.
until_seconds() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

# The kernel lets go of a group a moment after its last process.
# shellcheck disable=SC2317  # called by its name
remove_group() { find "$1" -depth -type d -exec rmdir {} + 2>/dev/null; [[ ! -d $1 ]]; }

# Finds the folder in which control groups are made; systemd wants one.
find_groups() {
    groups=$(findmnt --noheadings --types cgroup2 --output TARGET | head -n 1)
    [[ -z $groups ]] || return 0
    groups=$work/groups
    mkdir "$groups"
    mount -t cgroup2 cgroup2 "$groups" || fail "there are no control groups (cgroup2) here, which systemd needs"
}

# All machines are on one bridge, which is in a namespace of its own.
connect() {
    local name
    ip netns add "$tag-hub"
    ip -n "$tag-hub" link add bridge type bridge
    ip -n "$tag-hub" link set bridge up
    for name in "${machines[@]}"; do
        ip netns add "$tag-$name"
        ip -n "$tag-$name" link set lo up
        ip -n "$tag-$name" link add eth0 type veth peer name "$name" netns "$tag-hub"
        ip -n "$tag-hub" link set "$name" master bridge up
        ip -n "$tag-$name" address add "${address[$name]}/24" dev eth0
        ip -n "$tag-$name" link set eth0 up
    done
}

boot() {
    local name=$1
    mkdir "$work/$name" "$groups/$tag-$name"
    (
        echo "$BASHPID" >"$groups/$tag-$name/cgroup.procs"
        exec ip netns exec "$tag-$name" unshare --mount --pid --fork --kill-child --uts --ipc --cgroup \
            "$root/deploy/test/machine.sh" "$name" "$work/$name"
    ) >"$work/$name.log" 2>&1 </dev/null &
    starter[$name]=$!
}

# on MACHINE COMMAND...
on() {
    local name=$1
    shift
    nsenter --target="${init[$name]}" --mount --uts --ipc --net --pid --cgroup --root --wd -- \
        env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# shellcheck disable=SC2317  # called by its name
is_up() {
    local name=$1
    init[$name]=$(pgrep --parent "${starter[$name]}" | head -n 1) && [[ -n ${init[$name]} ]] || return 1
    [[ $(cat "/proc/${init[$name]}/comm") == systemd ]] && [[ $(on "$name" systemctl is-system-running 2>/dev/null) == running ]]
}

start_machines() {
    local name
    find_groups
    connect
    for name in "${machines[@]}"; do boot "$name"; done
    for name in "${machines[@]}"; do
        until_seconds "$boot_seconds_max" is_up "$name" || {
            cat "$work/$name.log" >&2
            on "$name" systemctl --failed --no-pager >&2 || true
            fail "$name did not start: no systemd of one's own can run here; what it said is above"
        }
        say "$name: $(on "$name" systemctl --version | head -n 1), ${address[$name]}"
    done
}

write_inventory() {
    cat >"$work/inventory.yml" <<INVENTORY
all:
  vars:
    ansible_connection: machine
    etcd_refresh_packages: false
    serverledge_secrets: $work/secrets
    serverledge_programs: $work/programs
    serverledge_settings: {container.pool.cpus: 1, container.pool.memory: 512, registry.nearby.interval: 500ms}
  children:
    registry: {hosts: {cloud-1: }}
    edge:
      hosts:
        edge-1: {serverledge_address: ${address[edge-1]}, machine_init: ${init[edge-1]}}
        edge-2: {serverledge_address: ${address[edge-2]}, machine_init: ${init[edge-2]}}
      vars: {serverledge_area: EDGE, serverledge_remote_area: CLOUD, serverledge_policy: qosaware}
    cloud:
      hosts:
        cloud-1:
          serverledge_address: ${address[cloud-1]}
          serverledge_names: [cloud.example.org]
          machine_init: ${init[cloud-1]}
          serverledge_settings: {container.pool.cpus: 8, container.pool.memory: 1024}
      vars: {serverledge_area: CLOUD, serverledge_policy: localonly}
    nodes: {children: {edge: , cloud: }}
INVENTORY
}

# play LOG: runs the playbook, and shows its recapitulation.
play() {
    if ! (cd deploy/ansible && LC_ALL=C.UTF-8 ANSIBLE_CONNECTION_PLUGINS=$root/deploy/test/connection ANSIBLE_NOCOLOR=1 ANSIBLE_PIPELINING=1 \
        ANSIBLE_LOCALHOST_WARNING=0 ANSIBLE_HOME=$work/ansible ansible-playbook -i "$work/inventory.yml" site.yml) >"$work/$1" 2>&1; then
        cat "$work/$1" >&2
        for name in "${machines[@]}"; do on "$name" journalctl --no-pager --unit serverledge --unit etcd --lines 20 >&2 || true; done
        fail "the playbook failed"
    fi
    sed -n '/^PLAY RECAP/,$p' "$work/$1"
}

# === the steps ===

# check WHAT COMMAND...: the command must succeed.
check() {
    local what=$1
    shift
    "$@" >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "not so: $what"; }
    say "${green}ok${plain}  $what"
}

# refused WHAT COMMAND...: the command must not succeed.
refused() {
    local what=$1
    shift
    ! "$@" >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "not so: $what"; }
    say "${green}ok${plain}  $what"
}

# cli MACHINE ARGUMENT...: the client, over TLS, on that machine.
cli() {
    local name=$1
    shift
    on "$name" serverledge-cli --host "${address[$name]}" --ca-file /etc/serverledge/tls/ca.pem "$@"
}

# has TEXT COMMAND...: what the command prints has the text.
has() {
    local text=$1
    shift
    "$@" >"$work/has" 2>&1 && grep -qF -- "$text" "$work/has"
    local outcome=$?
    ((outcome == 0)) || cat "$work/has"
    return "$outcome"
}

# shellcheck disable=SC2317  # called by its name
knows_the_others() { cli edge-1 --json peers >"$work/peers" && (($(grep -c '"offloadable": true' "$work/peers") == 2)); }

step_files() {
    title "units and compose file"
    local unit
    mkdir "$work/units"
    for unit in serverledge serverledge-lb; do
        # The programs are not where the units have them, on this machine.
        sed "s|^ExecStart=/usr/local/bin/serverledge |ExecStart=$bin/serverledge |" "deploy/systemd/$unit.service" >"$work/units/$unit.service"
        check "systemd-analyze verify $unit.service" systemd-analyze verify "$work/units/$unit.service"
        [[ ! -s $work/out ]] || { cat "$work/out"; fail "there is something to say about $unit.service"; }
        check "systemd-analyze security $unit.service: exposure of at most 2 of 10" \
            systemd-analyze security --offline=yes --threshold=20 "$work/units/$unit.service"
    done
    check "docker-compose config" docker-compose --file deploy/compose/compose.yaml config --quiet
    check "the keys in the nodes' files are keys" check_configurations
}

# shellcheck disable=SC2317  # called by its name
check_configurations() {
    local file
    for file in deploy/compose/*.toml examples/edge-cloud/*.toml; do
        "$bin/serverledge" --check-config "$file" >/dev/null || return 1
    done
}

step_play() {
    title "the playbook"
    mkdir "$work/programs"
    cp "$bin/serverledge" "$bin/serverledge-cli" "$work/programs/"
    # Debug information would fill the machines' memory.
    ! command -v strip >/dev/null || strip --strip-debug "$work/programs/"*
    write_inventory
    play first.log
    say "and once more:"
    play second.log
    # Every host, none of them with a change.
    check "the second run changed nothing" test "$(grep -c 'changed=0 .*unreachable=0 .*failed=0' "$work/second.log")" = "${#machines[@]}"
}

step_registry() {
    title "the registry"
    local etcd=https://${address[cloud-1]}:2379 tls=(--cacert /etc/etcd/tls/ca.pem --cert /etc/etcd/tls/etcd.pem --key /etc/etcd/tls/etcd.key)
    check "etcd answers who has a certificate" has '"health":"true"' on cloud-1 curl --silent --max-time 10 "${tls[@]}" "$etcd/health"
    refused "and nobody else" on edge-1 curl --silent --max-time 10 --cacert /etc/serverledge/tls/ca.pem "$etcd/health"
    check "it compacts, and has a quota" has 'ETCD_AUTO_COMPACTION_RETENTION=1h' on cloud-1 sh -c \
        "tr '\\0' '\\n' </proc/\$(systemctl show -P MainPID etcd.service)/environ"
}

step_nodes() {
    title "the nodes"
    local name
    # shellcheck disable=SC2016  # variables of the machine's shell
    for name in "${machines[@]}"; do
        check "$name: the unit is on, and its process is the service user's" has serverledge on "$name" sh -c \
            'systemctl is-enabled --quiet serverledge.service && stat -c %U "/proc/$(systemctl show -P MainPID serverledge.service)"'
        check "$name: systemd's filter of system calls is in force" has 'Seccomp:	2' on "$name" sh -c \
            'cat "/proc/$(systemctl show -P MainPID serverledge.service)/status"'
        check "$name: others cannot read keys" test "$(on "$name" stat -c %a /etc/serverledge/cluster.key /etc/serverledge/tls/node.key | tr '\n' ' ')" = "600 640 "
    done
    check "edge-1 answers the cloud over TLS" on cloud-1 curl --silent --fail --max-time 10 --cacert /etc/serverledge/tls/ca.pem "https://${address[edge-1]}:1323/readyz"
    check "the cloud answers under its further name" on edge-1 curl --silent --fail --max-time 10 --cacert /etc/serverledge/tls/ca.pem \
        --connect-to "cloud.example.org:1323:${address[cloud-1]}:1323" https://cloud.example.org:1323/readyz
    refused "without TLS there is no answer" on cloud-1 curl --silent --fail --max-time 10 "http://${address[edge-1]}:1323/readyz"
    refused "an unknown authority is not believed" on cloud-1 curl --silent --fail --max-time 10 "https://${address[edge-1]}:1323/readyz"
}

step_cluster() {
    title "the cluster"
    until_seconds 60 knows_the_others || { cat "$work/peers"; fail "edge-1 does not know the others"; }
    check "edge-1 reaches both others, over TLS" has "https://${address[cloud-1]}:1323" cat "$work/peers"
    cp wasm-examples/sieve/sieve.wasm "/proc/${init[edge-1]}/root/tmp/"
    check "a function is compiled and stored on edge-1" cli edge-1 create --function sieve --src /tmp/sieve.wasm --cpu 1 --memory 64
    check "and runs on edge-2" until_seconds 60 has 78498 cli edge-2 invoke sieve -p n:1000000
    check "and in the cloud" until_seconds 60 has 78498 cli cloud-1 invoke sieve -p n:1000000
    overload
    check "of 30 calls to edge-1, some ran at its neighbour" grep -q '"ExecutionNode":"edge-2"' "$work/answers"
    check "and some in the cloud" grep -q '"ExecutionArea":"CLOUD"' "$work/answers"
    check "and none failed" test "$(grep -o '"Success":true' "$work/answers" | wc -l)" = 30
}

# Six clients at once, five calls each.
overload() {
    local each
    local -a clients=()
    for each in 1 2 3 4 5 6; do
        # shellcheck disable=SC2016  # variables of the other shell
        on edge-1 sh -c 'for each in 1 2 3 4 5; do curl --silent --max-time 60 --cacert /etc/serverledge/tls/ca.pem -H content-type:application/json \
            -d "{\"Params\":{\"n\":20000000},\"QoSClass\":2}" "https://$0:1323/invoke/sieve"; echo; done' "${address[edge-1]}" >"$work/answers.$each" &
        clients+=("$!")
    done
    wait "${clients[@]}"
    cat "$work"/answers.? >"$work/answers"
    grep -o '"ExecutionNode":"[^"]*"' "$work/answers" | sort | uniq -c || true
}

step_stop() {
    title "stopping"
    check "a node stops by itself when told to" on edge-2 systemctl stop serverledge.service
    check "and with success" test "$(on edge-2 systemctl show -P Result serverledge.service)" = success
    check "the others know at once" until_seconds 10 has 'cloud-1' only_peers edge-1
    check "with the playbook's unit it starts again" on edge-2 systemctl start serverledge.service
}

# The other nodes that a node knows, unless edge-2 is among them.
# shellcheck disable=SC2317  # called by its name
only_peers() { cli "$1" --json peers >"$work/peers" && ! grep -q edge-2 "$work/peers" && cat "$work/peers"; }

began=$(now_us)
step_files
title "three machines"
start_machines
step_play
step_registry
step_nodes
step_cluster
step_stop
say
say "${green}all of it works$plain, in $(words_of_us $(($(now_us) - began)))"
