"""The measurements of http.sh: needs release binaries and wrk; everything listens on loopback and is stopped by its id."""

import argparse
import base64
import contextlib
import http.client
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release")
GUESTS = os.path.join(ROOT, "wasm-examples")


class Server:
    """A process that prints its address on stdout."""

    def __init__(self, command, **kwargs):
        self.began = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, **kwargs)
        line = self.process.stdout.readline().decode()
        self.announced = time.monotonic() - self.began
        found = re.search(r"http://([0-9.]+):(\d+)", line)
        if not found:
            raise SystemExit(f"{command[0]} did not start: {line!r}")
        self.host, self.port = found.group(1), int(found.group(2))

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def stop(self, how=signal.SIGTERM):
        self.process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)
        self.process.wait(timeout=60)


def node(data_dir, limit_files=None, folder=BIN):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SERVERLEDGE_")}
    environment |= {"SERVERLEDGE_API_PORT": "0", "SERVERLEDGE_DATA_DIR": data_dir, "SERVERLEDGE_LOG_LEVEL": "error"}
    command = [os.path.join(folder, "serverledge")]
    if limit_files:
        command = ["sh", "-c", f"ulimit -n {limit_files}; exec {command[0]}"]
    return Server(command, env=environment, cwd=data_dir)


def post(server, path, body):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request("POST", path, body if isinstance(body, (bytes, str)) else json.dumps(body))
    response = connection.getresponse()
    text = response.read()
    connection.close()
    if response.status != 200:
        raise SystemExit(f"POST {path}: {response.status} {text[:300]!r}")
    return text


def deploy(server, name, code, **more):
    post(server, "/update", {"Name": name, "TarFunctionCode": base64.b64encode(code).decode(), **more})


def module(name):
    with open(os.path.join(GUESTS, name, f"{name}.wasm"), "rb") as file:
        return file.read()


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


SCRIPT = b"""// What people write first.
const DIGITS_MAX = 15;

module.exports = (params, context) => {
  for (const name of ['a', 'b']) {
    if (!Number.isSafeInteger(params[name])) throw new TypeError(`${name} must be an integer of at most ${DIGITS_MAX} digits`);
  }
  const sum = [params.a, params.b].reduce((total, each) => total + each, 0);
  return { sum };
};
"""


def node_with_functions(data, folder=BIN):
    os.mkdir(data)
    server = node(data, folder=folder)
    for name in ("add", "word-count", "hello", "echo-http"):
        deploy(server, name, module(name))
    deploy(server, "add-once", module("add"), Idempotent=True)
    deploy(server, "script", SCRIPT, Runtime="javascript")
    return server


def measure_http(options, scratch):
    ours = node_with_functions(os.path.join(scratch, "http"))
    servers = [ours]
    add = json.dumps({"Params": {"a": 2, "b": 3}})
    count = json.dumps({"Params": {"text": "to be or not to be"}})
    hello = json.dumps({"Params": {"name": "Ada"}})
    length = len(post(ours, "/invoke/add", add))
    baseline = Server([os.path.join(BIN, "examples", "bare_axum"), str(length)])
    servers.append(baseline)
    targets = {
        "axum": (baseline, "/invoke/add", add),
        "invoke-reactor": (ours, "/invoke/add", add),
        "idempotent-hit": (ours, "/invoke/add-once", add),
        "invoke-command-c": (ours, "/invoke/word-count", count),
        "invoke-command-rust": (ours, "/invoke/hello", hello),
        "invoke-javascript": (ours, "/invoke/script", add),
        "http": (ours, "/fn/echo-http", "hello"),
    }
    peer = shutil.which("wasmtime")
    if peer:
        serve = wasmtime_serve(peer)
        servers.append(serve)
        targets["wasmtime-serve"] = (serve, "/", "hello")
    if options.against:
        other = node_with_functions(os.path.join(scratch, "against"), options.against)
        servers.append(other)
        # Each right after its counterpart, so that both meet the same noise.
        both = {}
        for name, (server, path, body) in targets.items():
            both[name] = (server, path, body)
            if server is ours:
                both["against " + name] = (other, path, body)
        targets = both
    results = {name: [] for name in targets}
    for name, (server, path, body) in targets.items():
        wrk(server, path, body, 1, options.connections, scratch)
    for turn in range(options.rounds):
        # Now from the front, now from the back: neither of two neighbours is always first.
        for name, (server, path, body) in list(targets.items())[:: -1 if turn % 2 else 1]:
            results[name].append(wrk(server, path, body, options.seconds, options.connections, scratch))
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
    rss = ours.rss_kib()
    for server in servers:
        server.stop()
    report_http(results, peer)
    print(f"figure rss-after-load-mib {rss / 1024:.1f}")


def wasmtime_serve(peer):
    """`wasmtime serve` with its defaults says where it listens on stderr."""
    process = subprocess.Popen([peer, "serve", "-Scli", "--addr", "127.0.0.1:0", os.path.join(GUESTS, "echo-http", "echo-http.wasm")],
                               stderr=subprocess.PIPE, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    found = re.search(r"http://([0-9.]+):(\d+)", process.stderr.readline().decode())
    server = Server.__new__(Server)
    server.process, server.host, server.port = process, found.group(1), int(found.group(2))
    return server


RATIOS = ("invoke-reactor", "idempotent-hit", "invoke-command-c", "invoke-command-rust", "invoke-javascript", "http")


def report_http(results, peer):
    median = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in results.items()}
    print(f"\n{'target':<28}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'spread':>9}{'of axum':>9}")
    for name, (rate, p50, p99) in median.items():
        rates = [row[0] for row in results[name]]
        spread = (max(rates) - min(rates)) / rate
        print(f"{name:<28}{rate:>12.0f}{p50:>9.3f}{p99:>9.3f}{spread:>8.0%}{rate / median['axum'][0]:>9.2f}")
    print()
    for name in RATIOS:
        ratios = [row[0] / base[0] for row, base in zip(results[name], results["axum"])]
        print(f"ratio {name}/axum {statistics.median(ratios):.2f}")
    for name in RATIOS if "against http" in results else ():
        ratios = [row[0] / base[0] for row, base in zip(results[name], results["against " + name])]
        low, _, high = statistics.quantiles(ratios, n=4)
        print(f"ratio {name}/against {statistics.median(ratios):.3f} (middle half {low:.3f} to {high:.3f})")
    if peer:
        ratios = [row[0] / base[0] for row, base in zip(results["http"], results["wasmtime-serve"])]
        print(f"ratio http/wasmtime-serve {statistics.median(ratios):.2f}")
    else:
        print("wasmtime is not on PATH: no ratio http/wasmtime-serve")


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
    post(server, "/update", {"Name": "spin", "Timeout": options.seconds + 3,
                             "TarFunctionCode": base64.b64encode(SPIN).decode()})
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
    empty = node(data)
    time.sleep(1)
    rss_empty = empty.rss_kib()
    big = module("thumbnail")
    deploy(empty, "big", big)
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
    machine_code = max(os.path.getsize(os.path.join(folder, name))
                       for folder, _, names in os.walk(os.path.join(data, "machine-code")) for name in names)
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
    print(f"figure load-ms-per-mb {load / (machine_code / 1e6):.2f} ({load:.2f} ms for {machine_code / 1e6:.2f} MB of machine code)")


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--functions", type=int, default=1000)
    parser.add_argument("--only", choices=("http", "nested", "start", "loop"))
    parser.add_argument("--against", metavar="FOLDER", help="a folder with another build of serverledge, measured in turn with this one")
    options = parser.parse_args()
    cpu = re.search(r"model name\s*:\s*(.+)", open("/proc/cpuinfo").read())
    print(f"machine: {cpu.group(1) if cpu else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}")
    with tempfile.TemporaryDirectory() as scratch:
        for name, measure in (("http", measure_http), ("nested", measure_nested), ("loop", measure_loop), ("start", measure_start)):
            if options.only in (None, name):
                measure(options, scratch)


main()
