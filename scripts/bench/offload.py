"""The measurements of offload.sh: needs release binaries, etcd and wrk; everything listens on loopback and is stopped by its id."""

import argparse
import base64
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release", "serverledge")
KEY = "a key of the benchmark's own, of 32 characters and more"
# A reactor that counts to a number and answers 1: so much processor time and nothing else.
BURNER = """(module
  (memory (export "memory") 1)
  (data (i32.const 16) "1")
  (func (export "serverledge_alloc") (param i32) (result i32) i32.const 1024)
  (func (export "serverledge_handle") (param i32 i32) (result i64)
    (local $left i64) (local $x i64)
    i64.const {count}
    local.set $left
    loop $again
      local.get $x i64.const 6364136223846793005 i64.mul i64.const 1442695040888963407 i64.add local.set $x
      local.get $left i64.const 1 i64.sub local.tee $left i64.const 0 i64.gt_s
      br_if $again
    end
    local.get $x i64.eqz
    if (result i64) i64.const 68719476737 else i64.const 68719476737 end))
"""


class Process:
    """A program with an end."""

    def __init__(self, command, **kwargs):
        self.process = subprocess.Popen(command, **kwargs)

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)


class Node(Process):
    """A node, or a load balancer, that prints its address."""

    def __init__(self, data_dir, settings, mode=(), cgroup=None):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SERVERLEDGE_")}
        settings = {
            "api.port": 0, "data.dir": data_dir, "log.level": "warn", "container.enabled": "false", **settings,
        }
        environment |= {"SERVERLEDGE_" + k.replace(".", "_").upper(): str(v) for k, v in settings.items()}
        os.makedirs(data_dir, exist_ok=True)
        join = cgroup.join if cgroup else None
        super().__init__([BIN, *mode], stdout=subprocess.PIPE, env=environment, cwd=data_dir, preexec_fn=join)
        line = self.process.stdout.readline().decode()
        found = re.search(r"http://([0-9.]+):(\d+)", line)
        if not found:
            raise SystemExit(f"a node did not start: {line!r}")
        self.host, self.port = found.group(1), int(found.group(2))

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        connection.request(method, path, json.dumps(body) if body is not None else None)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, text

    def deploy(self, name, code, **more):
        body = {"Name": name, "TarFunctionCode": base64.b64encode(code).decode(), **more}
        status, text = self.ask("POST", "/update", body)
        if status != 200:
            raise SystemExit(f"deploy of {name}: {status} {text[:300]!r}")

    def wait_for(self, path, good, seconds=30):
        """Asks until the answer is good."""
        until = time.monotonic() + seconds
        while True:
            status, text = self.ask("GET", path)
            if status == 200 and good(json.loads(text)):
                return
            if time.monotonic() > until:
                raise SystemExit(f"{path}: {status} {text[:300]!r}")
            time.sleep(0.05)


class HalfACore:
    """A control group with half a core."""

    def __init__(self, name):
        self.path = f"/sys/fs/cgroup/cpu/serverledge-bench-{os.getpid()}-{name}"
        self.second = not os.path.isdir("/sys/fs/cgroup/cpu")
        if self.second:
            self.path = f"/sys/fs/cgroup/serverledge-bench-{os.getpid()}-{name}"
        os.makedirs(self.path)
        if self.second:
            self.write("cpu.max", "50000 100000")
        else:
            self.write("cpu.cfs_period_us", "100000")
            self.write("cpu.cfs_quota_us", "50000")

    def write(self, file, text):
        with open(os.path.join(self.path, file), "w") as control:
            control.write(text)

    def join(self):
        self.write("cgroup.procs", str(os.getpid()))

    def remove(self):
        os.rmdir(self.path)


class Etcd(Process):
    def __init__(self, folder):
        self.port, peer = free_port(), free_port()
        url = f"http://127.0.0.1:{self.port}"
        super().__init__(
            ["etcd", "--data-dir", folder, "--listen-client-urls", url, "--advertise-client-urls", url,
             "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
             "--initial-cluster", f"default=http://127.0.0.1:{peer}", "--log-level", "error"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            if time.monotonic() > until:
                raise SystemExit("etcd did not start")
            time.sleep(0.05)

    def revision(self):
        out = subprocess.run(
            ["etcdctl", "--endpoints", f"127.0.0.1:{self.port}", "get", "none", "-w", "json"],
            env=os.environ | {"ETCDCTL_API": "3"}, capture_output=True, check=True,
        ).stdout
        return json.loads(out)["header"]["revision"]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def burner(milliseconds, probe):
    """A function that takes so much processor time: the count is scaled from a first one's duration."""
    first = 4_000_000
    probe.deploy("probe", BURNER.format(count=first).encode())
    took = []
    for _ in range(7):
        status, text = probe.ask("POST", "/invoke/probe", {})
        if status != 200:
            raise SystemExit(f"probe: {status} {text!r}")
        took.append(json.loads(text)["Duration"])
    return BURNER.format(count=int(first * milliseconds / 1000 / statistics.median(took))).encode()


class Clients:
    """Latencies of calls on one connection each."""

    def __init__(self, node, path, body="{}"):
        self.connection = http.client.HTTPConnection(node.host, node.port, timeout=60)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.path, self.body = path, body

    def call(self):
        began = time.perf_counter()
        self.connection.request("POST", self.path, self.body)
        response = self.connection.getresponse()
        text = response.read()
        took = time.perf_counter() - began
        if response.status != 200:
            raise SystemExit(f"{self.path}: {response.status} {text[:300]!r}")
        return took, text


def wrk(node, path, body, seconds, connections, scratch):
    script = os.path.join(scratch, "post.lua")
    with open(script, "w") as file:
        file.write(f'wrk.method="POST"\nwrk.body={json.dumps(body)}\n'
                   'done=function(s,l,r) io.write(string.format("RESULT %d %d %d\\n", s.requests, s.duration, s.errors.status))end\n')
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", script, f"http://{node.host}:{node.port}{path}"],
        capture_output=True, text=True, check=True,
    ).stdout
    requests, micros, bad = map(int, re.search(r"RESULT (\d+) (\d+) (\d+)", out).groups())
    return (requests - bad) / (micros / 1e6), bad


def value(name, number, unit):
    print(f"value {name} {number:.4g} {unit}", flush=True)


def ratio(name, number):
    print(f"ratio {name} {number:.3f}", flush=True)


def cluster(etcd, area="EDGE", **more):
    more = {key.replace("_", "."): one for key, one in more.items()}
    return {"registry.url": f"etcd://127.0.0.1:{etcd.port}", "registry.area": area, "cluster.key": KEY, **more}


def finds(node, count):
    node.wait_for("/peers", lambda peers: sum(peer["offloadable"] for peer in peers) >= count)


def knows(node, name):
    until = time.monotonic() + 30
    while node.ask("POST", f"/invoke/{name}", {})[0] != 200:
        if time.monotonic() > until:
            raise SystemExit(f"{name} does not run")
        time.sleep(0.05)


def measure_hop(etcd, scratch, stack, options):
    there = stack.enter_context(running(Node(os.path.join(scratch, "there"), cluster(etcd))))
    here = stack.enter_context(running(Node(os.path.join(scratch, "here"), cluster(etcd, scheduler_policy="edgeonly"))))
    there.deploy("one", BURNER.format(count=1).encode())
    knows(there, "one")
    finds(here, 1)
    knows(here, "one")
    direct, hop = Clients(there, "/invoke/one"), Clients(here, "/invoke/one")
    if json.loads(hop.call()[1])["ExecutionNode"] == json.loads(here.ask("GET", "/status")[1])["Node"]:
        raise SystemExit("the call was not offloaded")
    times = {"direct": [], "hop": []}
    for turn in range(options.rounds * 400):
        for name, clients in (("direct", direct), ("hop", hop)):
            took, _ = clients.call()
            if turn >= 100:
                times[name].append(took)
    for name, took in times.items():
        value(f"{name}-p50", statistics.median(took) * 1e6, "us")
        value(f"{name}-p99", statistics.quantiles(took, n=100)[98] * 1e6, "us")
    value("hop-adds-p50", (statistics.median(times["hop"]) - statistics.median(times["direct"])) * 1e6, "us")


def measure_two(etcd, scratch, stack, options):
    groups = [HalfACore("one"), HalfACore("two")]
    for group in groups:
        stack.callback(group.remove)
    # A call reserves half a core, which is all that a node has: one at a time runs.
    half = {"container.pool.cpus": 0.5, "scheduler.queue.capacity": 64, "scheduler.queue.wait_max": "30s"}
    two = stack.enter_context(running(Node(os.path.join(scratch, "two"), {**cluster(etcd, area="PAIR"), **half}, cgroup=groups[1])))
    one = stack.enter_context(running(Node(
        os.path.join(scratch, "one"), {**cluster(etcd, area="PAIR", scheduler_policy="qosaware"), **half}, cgroup=groups[0])))
    with running(Node(os.path.join(scratch, "probe"), {})) as probe:
        code = burner(20, probe)
    two.deploy("burn", code, CPUDemand=0.5)
    for node in (one, two):
        knows(node, "burn")
    finds(one, 1)
    balancer = stack.enter_context(running(Node(os.path.join(scratch, "lb"), cluster(etcd, area="PAIR"), mode=("lb",)))) \
        if options.balancer else None
    alone, both, balanced = [], [], []
    alone_body = json.dumps({"CanDoOffloading": False})
    for _ in range(options.rounds):
        alone.append(wrk(one, "/invoke/burn", alone_body, options.seconds, 4, scratch)[0])
        # Of the performance class: calls of the low class wait here while the wait is short.
        both.append(wrk(one, "/invoke/burn", '{"QoSClass":1}', options.seconds, 8, scratch)[0])
        if balancer:
            balanced.append(wrk(balancer, "/invoke/burn", alone_body, options.seconds, 8, scratch)[0])
    value("one-node", statistics.median(alone), "calls/s")
    value("two-nodes-offloading", statistics.median(both), "calls/s")
    ratio("two-nodes-offloading/one-node", statistics.median(both) / statistics.median(alone))
    if balancer:
        value("two-nodes-balanced", statistics.median(balanced), "calls/s")
        ratio("two-nodes-balanced/one-node", statistics.median(balanced) / statistics.median(alone))


def measure_async(etcd, scratch, stack, options):
    for name, settings in (("embedded", {}), ("etcd", cluster(etcd, area="ASYNC"))):
        # Accepting is measured, not running: what is accepted waits.
        settings = {**settings, "async.concurrency_max": 1, "async.queued_max": 1_000_000}
        with running(Node(os.path.join(scratch, f"async-{name}"), settings)) as node:
            node.deploy("one", BURNER.format(count=1).encode())
            knows(node, "one")
            rates = []
            for _ in range(options.rounds):
                rate, bad = wrk(node, "/invoke/one", '{"Async":true}', options.seconds, 32, scratch)
                if bad:
                    raise SystemExit(f"{bad} were not accepted")
                rates.append(rate)
            value(f"async-accept-{name}", statistics.median(rates), "calls/s")


def measure_idle(etcd, scratch, stack, options):
    nodes = [stack.enter_context(running(Node(os.path.join(scratch, f"idle{n}"), cluster(etcd, area="IDLE")))) for n in range(3)]
    for node in nodes:
        finds(node, 2)
    time.sleep(5)
    before = etcd.revision()
    time.sleep(60)
    value("idle-writes", (etcd.revision() - before) / len(nodes), "writes/node/minute")


@contextlib.contextmanager
def running(process):
    try:
        yield process
    finally:
        process.stop()


PARTS = {"hop": measure_hop, "two": measure_two, "async": measure_async, "idle": measure_idle}


def main():
    parser = argparse.ArgumentParser(prog="offload.sh")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement of a rate")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=list(PARTS))
    parser.add_argument("--no-balancer", dest="balancer", action="store_false")
    options = parser.parse_args()
    for part in [options.only] if options.only else PARTS:
        print(f"== {part} ==", file=sys.stderr)
        with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
            etcd = stack.enter_context(running(Etcd(os.path.join(scratch, "etcd"))))
            PARTS[part](etcd, scratch, stack, options)


if __name__ == "__main__":
    main()
