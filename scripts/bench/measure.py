"""The measurements of http.sh: needs release binaries and wrk; everything listens on loopback and is stopped by its id."""

import argparse
import http.client
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import javascript
from bench import (BIN, GUESTS, SCRIPT, SCRIPT_PARAMS, TARGET, Server, deploy, machine_code, module, node, post, print_machine,
                   print_figures, print_ratio_to_against)


def wrk(server, path, body, seconds, connections, scratch):
    script = os.path.join(scratch, "post.lua")
    with open(script, "w") as file:
        file.write(f'wrk.method="POST"\nwrk.headers["Content-Type"]="application/json"\nwrk.body={json.dumps(body)}\n')
    command = ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script,
               f"http://{server.host}:{server.port}{path}"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out:
        raise SystemExit(f"{path}: {out}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
    latency = {p: milliseconds(re.search(rf"{p}%\s+([\d.]+)(us|ms|s)", out)) for p in ("50", "99")}
    return rate, latency["50"], latency["99"]


def milliseconds(found):
    return float(found.group(1)) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found.group(2)]


def as_call(params):
    return json.dumps({"Params": params})


def node_with_functions(data, functions, folder=BIN):
    """`functions` has the code and the options of each deploy by name."""
    os.mkdir(data)
    server = node(data, folder=folder)
    for name, (code, more) in functions.items():
        deploy(server, name, code, **more)
    return server


def axum(reply):
    """Bare axum with constant replies of the same length."""
    return Server([os.path.join(BIN, "examples", "bare_axum"), str(len(reply))])


def measure_http(options, scratch):
    functions = {name: (module(name), {}) for name in ("add", "word-count", "hello", "echo-http")}
    functions["add-once"] = (module("add"), {"Idempotent": True})
    functions["script"] = (SCRIPT, {"Runtime": "javascript"})
    default_stack = hello_with_default_stack()
    if default_stack:
        functions["hello-default"] = (default_stack, {})
    ours = node_with_functions(os.path.join(scratch, "http"), functions)
    servers = [ours]
    add, hello = as_call(SCRIPT_PARAMS), as_call({"name": "Ada"})
    servers.append(axum(post(ours, "/invoke/add", add)))
    targets = {
        "axum": (servers[-1], "/invoke/add", add),
        "invoke-reactor": (ours, "/invoke/add", add),
        "idempotent-hit": (ours, "/invoke/add-once", add),
        "invoke-command-c": (ours, "/invoke/word-count", as_call({"text": "to be or not to be"})),
        "invoke-command-rust": (ours, "/invoke/hello", hello),
        "invoke-javascript": (ours, "/invoke/script", add),
        "http": (ours, "/fn/echo-http", "hello"),
    }
    if default_stack:
        targets["invoke-command-rust-default"] = (ours, "/invoke/hello-default", hello)
    ratios = [(name, "axum") for name in targets if name != "axum"]
    peer = shutil.which("wasmtime")
    if peer:
        servers.append(wasmtime_serve(peer, "echo-http"))
        targets["wasmtime-serve"] = (servers[-1], "/", "hello")
        ratios.append(("http", "wasmtime-serve"))
    if options.against:
        servers.append(node_with_functions(os.path.join(scratch, "against"), functions, options.against))
        targets = with_counterparts(targets, ours, servers[-1])
    # After the counterparts: an older build may not have it.
    deploy(ours, "echo-service", module("echo-service"))
    targets["http-wasi-0.3"] = (ours, "/fn/echo-service", "hello")
    ratios.append(("http-wasi-0.3", "axum"))
    if peer:
        # By default it serves many requests with one instance of WASI 0.3.
        once = ("--max-instance-reuse-count", "1", "--max-instance-concurrent-reuse-count", "1")
        servers.append(wasmtime_serve(peer, "echo-service", "-Sp3", "-Wcomponent-model-async", *once))
        targets["wasmtime-serve-wasi-0.3"] = (servers[-1], "/", "hello")
        ratios.append(("http-wasi-0.3", "wasmtime-serve-wasi-0.3"))
    program = hello_with_default_stack("wasm32-wasip2")
    if program and default_stack:
        deploy(ours, "hello-program", program)
        targets["invoke-program-rust"] = (ours, "/invoke/hello-program", hello)
        ratios.append(("invoke-program-rust", "invoke-command-rust-default"))
    results = interleaved(targets, options, scratch)
    rss = ours.rss_kib()
    for server in servers:
        server.stop()
    report(results, [(f"{name}/{base}", name, base) for name, base in ratios])
    if not peer:
        print("wasmtime is not on PATH: no ratio http/wasmtime-serve")
    print(f"figure rss-after-load-mib {rss / 1024:.1f}")


def measure_script(options, scratch):
    """Scripts with the runtime `javascript`, short and bundled, beside the same in workerd."""
    tools = javascript.tools()
    bundle = tools and javascript.bundle(tools)
    functions = {"script": (SCRIPT, {"Runtime": "javascript"})}
    if bundle:
        functions["bundle"] = (bundle, {"Runtime": "javascript"})
    ours = node_with_functions(os.path.join(scratch, "script"), functions)
    calls = {"script": as_call(SCRIPT_PARAMS), "bundle": as_call(javascript.BUNDLE_PARAMS)}
    servers = [ours, axum(post(ours, "/invoke/script", calls["script"]))]
    targets = {"axum": (servers[-1], "/invoke/script", calls["script"])}
    ratios = []
    for name in functions:
        target = "invoke-javascript" if name == "script" else f"invoke-{name}"
        targets[target] = (ours, f"/invoke/{name}", calls[name])
        ratios.append((f"{target}/axum", target, "axum"))
        kind = "esModule" if name == "bundle" else "commonJsModule"
        peer = tools and javascript.workerd(tools, functions[name][0], kind, os.path.join(scratch, f"workerd-{name}"))
        if peer:
            servers.append(peer)
            same_result(ours, peer, name, calls[name])
            targets[f"workerd-{name}"] = (peer, "/", calls[name])
            ratios.append((f"{name}/workerd", target, f"workerd-{name}"))
    if options.against:
        servers.append(node_with_functions(os.path.join(scratch, "script-against"), functions, options.against))
        targets = with_counterparts(targets, ours, servers[-1])
    # After the counterparts: an older build may not have it.
    servers += measure_fetch(tools, ours, targets, ratios, scratch)
    results = interleaved(targets, options, scratch)
    for server in servers:
        server.stop()
    report(results, ratios)


def measure_fetch(tools, ours, targets, ratios, scratch):
    """Adds a script that answers requests, and the same in workerd, which it gives back."""
    deploy(ours, "fetch", javascript.FETCH, Runtime="javascript")
    call = json.dumps(SCRIPT_PARAMS)
    targets["http-javascript"] = (ours, "/fn/fetch/", call)
    ratios.append(("http-javascript/axum", "http-javascript", "axum"))
    at = os.path.join(scratch, "workerd-fetch")
    peer = tools and javascript.workerd(tools, javascript.FETCH, "esModule", at, javascript.FETCH_WORKER)
    if not peer:
        return []
    here, other = post(ours, "/fn/fetch/", call), post(peer, "/", call)
    if here != other:
        raise SystemExit(f"fetch: {here} here, {other} in workerd")
    targets["workerd-fetch"] = (peer, "/", call)
    ratios.append(("fetch/workerd", "http-javascript", "workerd-fetch"))
    return [peer]


# Requests to a server of this machine, and values of its store. Clocks of functions are coarse: calls are timed from outside.
OUTGOING = b"""import { kv } from 'serverledge';
export default async function handler({ url, fetches, gets }) {
  for (let n = 0; n < fetches; n++) await (await fetch(url, { method: 'POST', body: '{}' })).text();
  for (let n = 0; n < gets; n++) await kv.get('key');
  return 'done';
}
"""
OUTGOING_CALLS = 400
GETS = 50


def measure_outgoing(options, scratch):
    """What one request, and values of the embedded registry, add to a call in a fresh sandbox; the same request by reqwest."""
    data = os.path.join(scratch, "outgoing")
    os.mkdir(data)
    ours = node(data, settings={"outbound.allow": "127.0.0.0/8"})
    ours.wait_until_quiet()
    peer = Server([os.path.join(BIN, "examples", "bare_axum"), "16"])
    host = f"http://{peer.host}:{peer.port}"
    deploy(ours, "outgoing", OUTGOING, Runtime="javascript", AllowHosts=[host])
    client = [os.path.join(BIN, "examples", "bare_reqwest"), host + "/invoke/peer", str(OUTGOING_CALLS)]
    kinds = {
        "none": {"fetches": 0, "gets": 0},
        "fetch": {"fetches": 1, "gets": 0, "url": host + "/invoke/peer"},
        "gets": {"fetches": 0, "gets": GETS},
    }
    times = {"reqwest": [], **{kind: [] for kind in kinds}}
    for turn in range(options.rounds):
        told = subprocess.run(client, capture_output=True, text=True, check=True).stdout
        # The first request makes the connection.
        times["reqwest"] += [int(line) for line in told.split()][1:]
        for kind, taken in times_of_calls(ours, kinds).items():
            times[kind] += taken
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
    for server in (ours, peer):
        server.stop()
    medians = {name: statistics.median(values) for name, values in times.items()}
    fetch, get = medians["fetch"] - medians["none"], (medians["gets"] - medians["none"]) / GETS
    print_figures({"ours": {
        "outgoing-fetch-p50-us": fetch,
        "outgoing-reqwest-p50-us": medians["reqwest"],
        "outgoing-fetch-over-reqwest-us": fetch - medians["reqwest"],
        "outgoing-kv-get-us": get,
    }})


def times_of_calls(server, kinds):
    """Microseconds of calls of each kind in turn, over one connection."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    times = {kind: [] for kind in kinds}
    for _ in range(OUTGOING_CALLS):
        for kind, params in kinds.items():
            body = as_call(params)
            begun = time.perf_counter()
            connection.request("POST", "/invoke/outgoing", body)
            answer = connection.getresponse().read()
            times[kind].append((time.perf_counter() - begun) * 1e6)
            if b"done" not in answer:
                raise SystemExit(f"outgoing: {answer[:300]!r}")
    connection.close()
    return times


def same_result(ours, peer, name, call):
    result = json.loads(json.loads(post(ours, f"/invoke/{name}", call))["Result"])
    other = json.loads(post(peer, "/", call))
    if result != other:
        raise SystemExit(f"{name}: {result} here, {other} in workerd")


def with_counterparts(targets, ours, other):
    """Each target of the other node right after its counterpart, so that both meet the same noise."""
    both = {}
    for name, (server, path, body) in targets.items():
        both[name] = (server, path, body)
        if server is ours:
            both["against " + name] = (other, path, body)
    return both


def interleaved(targets, options, scratch):
    results = {name: [] for name in targets}
    for name, (server, path, body) in targets.items():
        wrk(server, path, body, 1, options.connections, scratch)
    for turn in range(options.rounds):
        # Now from the front, now from the back: neither of two neighbours is always first.
        for name, (server, path, body) in list(targets.items())[:: -1 if turn % 2 else 1]:
            results[name].append(wrk(server, path, body, options.seconds, options.connections, scratch))
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
    return results


def hello_with_default_stack(target="wasm32-wasip1"):
    """The Rust example as rustc links it, with 1 MiB of stack; http.sh builds it where it can."""
    path = os.path.join(TARGET, "bench-guests", target, "release", "hello.wasm")
    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        return file.read()


def wasmtime_serve(peer, guest, *more):
    """`wasmtime serve` says where it listens on stderr."""
    process = subprocess.Popen([peer, "serve", "-Scli", *more, "--addr", "127.0.0.1:0", os.path.join(GUESTS, guest, f"{guest}.wasm")],
                               stderr=subprocess.PIPE, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    found = re.search(r"http://([0-9.]+):(\d+)", process.stderr.readline().decode())
    server = Server.__new__(Server)
    server.process, server.host, server.port = process, found.group(1), int(found.group(2))
    return server


def report(results, ratios):
    """The table, and the median of each ratio's rounds; `ratios` has its name, its target and what that is compared with."""
    median = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in results.items()}
    print(f"\n{'target':<36}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'spread':>9}{'of axum':>9}")
    for name, (rate, p50, p99) in median.items():
        rates = [row[0] for row in results[name]]
        spread = (max(rates) - min(rates)) / rate
        print(f"{name:<36}{rate:>12.0f}{p50:>9.3f}{p99:>9.3f}{spread:>8.0%}{rate / median['axum'][0]:>9.2f}")
    print()
    for ratio, name, base in ratios:
        value = statistics.median(of_rounds(results, name, base))
        print(f"ratio {ratio} {value:.{2 if value >= 0.2 else 3}f}")
    for name in results:
        if "against " + name in results:
            print_ratio_to_against(name, of_rounds(results, name, "against " + name))


def of_rounds(results, name, base):
    return [row[0] / other[0] for row, other in zip(results[name], results[base])]


# Calls `add` so many times, one after the other, and answers what the last call answered.
CALLS_ADD = """(module
  (import "serverledge" "call" (func $call (param i32 i32 i32 i32 i32 i32) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "add") (data (i32.const 16) "{\\22a\\22:2,\\22b\\22:3}")
  (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 4096))
  (func (export "serverledge_handle") (param i32 i32) (result i64)
    (local $left i32) (local $reply i64)
    (local.set $left (i32.const %d))
    (loop $next
      (local.set $reply (call $call (i32.const 0) (i32.const 3) (i32.const 16) (i32.const 13) (i32.const 1024) (i32.const 512)))
      (if (i64.lt_s (local.get $reply) (i64.const 0)) (then unreachable))
      (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i64.or (i64.shl (i64.const 1024) (i64.const 32)) (local.get $reply))))"""
NESTED_CALLS = (1, 101)
NESTED_SAMPLES = 400


def measure_nested(options, scratch):
    """What a call costs that a function makes: the difference between a caller of one and one of many, on one connection,
    beside what its callee takes in the node when it is called from outside, from its arrival to its end."""
    data = os.path.join(scratch, "nested")
    os.mkdir(data)
    server = node(data)
    deploy(server, "add", module("add"))
    targets = {"add": '{"a":2,"b":3}'}
    for calls in NESTED_CALLS:
        deploy(server, f"calls-{calls}", (CALLS_ADD % calls).encode())
        targets[f"calls-{calls}"] = "{}"
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    few, many = NESTED_CALLS
    rounds = []
    for turn in range(options.rounds + 1):
        wall, inside = {}, {}
        for name, params in targets.items():
            samples = [timed_call(connection, f"/fn/{name}", params) for _ in range(NESTED_SAMPLES)]
            wall[name], inside[name] = (statistics.median(column) for column in zip(*samples))
        each = (wall[f"calls-{many}"] - wall[f"calls-{few}"]) / (many - few)
        if turn > 0:  # The first one warms up.
            rounds.append((each, inside["add"], each - inside["add"]))
    connection.close()
    server.stop()
    each, callee, added = (statistics.median(column) for column in zip(*rounds))
    spread = max(row[0] for row in rounds) - min(row[0] for row in rounds)
    print(f"figure nested-call-us {each:.1f} (spread {spread:.1f} over {options.rounds} rounds)")
    print(f"figure nested-callee-us {callee:.1f} (the same callee, called from outside: its time in the node)")
    print(f"figure nested-call-adds-us {added:.1f}")


def timed_call(connection, path, params):
    """Microseconds until the answer, and those of them between arrival and end as the node's Server-Timing tells them."""
    began = time.perf_counter()
    connection.request("POST", path, params)
    response = connection.getresponse()
    text = response.read()
    took = time.perf_counter() - began
    if (response.status, text) != (200, b'{"sum":5}'):
        raise SystemExit(f"POST {path}: {response.status} {text[:300]!r}")
    inside = re.search(r"total;dur=([\d.]+)", response.getheader("server-timing"))
    return took * 1e6, float(inside.group(1)) * 1e3


SPIN = b"""(module (memory (export "memory") 1)
  (func (export "_start") (loop $for_ever (br $for_ever))))"""


def measure_loop(options, scratch):
    """What endless loops cost the others: the same light load beside none, one, and eight of them."""
    data = os.path.join(scratch, "loop")
    os.mkdir(data)
    server = node(data)
    deploy(server, "add", module("add"))
    deploy(server, "spin", SPIN, Timeout=options.seconds + 3)
    add = json.dumps({"Params": {"a": 2, "b": 3}})
    for loops in (0, 1, 8):
        waiting = []
        for _ in range(loops):
            connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
            connection.request("POST", "/invoke/spin", "{}")
            waiting.append(connection)
        rate, p50, p99 = wrk(server, "/invoke/add", add, options.seconds, 4, scratch)
        for connection in waiting:
            answer = json.loads(connection.getresponse().read())
            if answer["code"] != "function_timeout":
                raise SystemExit(f"the loop ended otherwise: {answer}")
            connection.close()
        print(f"figure beside-{loops}-loops {rate:.0f} requests/s, p50 {p50:.3f} ms, p99 {p99:.3f} ms")
    server.stop()


def unique(code, number):
    """The same module under another digest: a custom section (id 0) with the number in it."""
    payload = b"\x06number" + number.to_bytes(4, "little")
    return code + b"\x00" + bytes([len(payload)]) + payload


def measure_start(options, scratch):
    data = os.path.join(scratch, "start")
    os.mkdir(data)
    # The first start compiles the engine of scripts; the later ones do not.
    once = node(data)
    once.wait_until_quiet()
    once.stop()
    empty = node(data)
    time.sleep(1)
    rss_empty = empty.rss_kib()
    others = machine_code(data)
    deploy(empty, "big", module("thumbnail"))
    big_bytes = sum(size for path, size in machine_code(data).items() if path not in others)
    began = time.monotonic()
    for number in range(options.functions):
        deploy(empty, f"f{number}", unique(module("add"), number))
    print(f"deployed {options.functions} functions in {time.monotonic() - began:.1f} s", file=sys.stderr)
    rss_full = empty.rss_kib()
    empty.stop()
    fresh, killed = [], []
    for _ in range(5):
        server = node(data, limit_files=1024)
        fresh.append(server.announced * 1000)
        time.sleep(0.5)
        rss_restarted = server.rss_kib()
        server.stop()
        server = node(data)
        post(server, "/invoke/f1", {"Params": {"a": 1, "b": 2}})
        server.stop(signal.SIGKILL)
        server = node(data)
        killed.append(server.announced * 1000)
        server.stop()
    first = []
    for _ in range(5):
        server = node(data)
        timing = first_call(server)
        first.append(timing)
        server.stop()
    print(f"figure ready-ms {statistics.median(fresh):.0f} (with {options.functions} functions, ulimit -n 1024; worst {max(fresh):.0f})")
    print(f"figure ready-after-kill-ms {statistics.median(killed):.0f} (worst {max(killed):.0f})")
    print(f"figure rss-idle-empty-mib {rss_empty / 1024:.1f}")
    print(f"figure rss-per-function-kib {(rss_full - rss_empty) / options.functions:.1f} (just deployed), "
          f"{(rss_restarted - rss_empty) / options.functions:.1f} (after a restart)")
    load = statistics.median(first)
    print(f"figure load-ms-per-mb {load / (big_bytes / 1e6):.2f} ({load:.2f} ms for {big_bytes / 1e6:.2f} MB of machine code)")


def first_call(server):
    """Milliseconds to load the largest module, as the node's Server-Timing tells them."""
    with open(os.path.join(GUESTS, "thumbnail", "examples.json")) as file:
        params = json.dumps(json.load(file)[0]["params"])
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    # Another module first: the process' first use of the pool is not part of the loading.
    connection.request("POST", "/fn/f1", '{"a":1,"b":2}')
    connection.getresponse().read()
    connection.request("POST", "/fn/big", params)
    response = connection.getresponse()
    response.read()
    return float(re.search(r"start;dur=([\d.]+)", response.getheader("server-timing")).group(1))


MEASUREMENTS = {
    "http": measure_http,
    "script": measure_script,
    "nested": measure_nested,
    "loop": measure_loop,
    "outgoing": measure_outgoing,
    "start": measure_start,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--functions", type=int, default=1000)
    parser.add_argument("--only", choices=tuple(MEASUREMENTS))
    parser.add_argument("--against", metavar="FOLDER", help="a folder with another build of serverledge, measured in turn with this one")
    options = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as scratch:
        for name, measure in MEASUREMENTS.items():
            if options.only in (None, name):
                measure(options, scratch)


if __name__ == "__main__":
    main()
