"""The measurements of python.sh: needs a release binary, wrk, a Docker Engine and the images of runtimes/; the node listens on
loopback and is stopped by its id."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time

from bench import deploy, machine_code, nodes, post, print_machine
from measure import wrk

# What people write first.
HELLO = """def handler(params, context):
    name = params.get("name", "world")
    return {"message": f"Hello, {name}!"}
"""
HELLO_PARAMS = {"name": "Ada"}
TYPICAL = '''import collections
import datetime
import decimal
import json
import re

WORD = re.compile(r"[a-z']+")


def handler(params, context):
    words = collections.Counter(WORD.findall(params["text"].lower()))
    day = datetime.date.fromisoformat(params["day"]) + datetime.timedelta(days=30)
    total = sum(decimal.Decimal(price) for price in params["prices"])
    return json.loads(json.dumps({"words": words.most_common(3), "due": day.isoformat(), "total": str(total)}))
'''
TYPICAL_PARAMS = {"text": "the cat and the dog and the bird", "day": "2026-01-31", "prices": ["1.10", "2.25", "19.99"]}
# Functions that are deployed before memory is measured.
WARM_UP_FUNCTIONS = 10
# Ten lines, different in each deploy.
TEN_LINES = '''import json
import re

# Number %d.
NAME = re.compile(r"[A-Z][a-z]+")


def handler(params, context):
    names = NAME.findall(params.get("name", ""))
    return {"names": names, "context": json.dumps(sorted(context))}
'''
COMPUTE = '''import time


class Record:
    def __init__(self, link=None, first=0, second=0):
        self.link, self.first, self.second = link, first, second

    def copy(self):
        return Record(self.link, self.first, self.second)


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def records(n):
    record, total = Record(None, 1, 2), 0
    for i in range(n):
        record = record.copy()
        record.first += i & 3
        record.second = record.first ^ i
        record.link = [i, record.second]
        total += record.link[1] + record.first
    return total


def sieve(n):
    prime = bytearray([1]) * (n + 1)
    prime[0] = prime[1] = 0
    for i in range(2, int(n**0.5) + 1):
        if prime[i]:
            prime[i * i :: i] = bytes(len(range(i * i, n + 1, i)))
    return sum(prime)


def words(n):
    counts = {}
    for i in range(n):
        key = f"k{i % 997}"
        counts[key] = counts.get(key, 0) + len(key)
    return sum(counts.values()) + len(" ".join(sorted(counts)))


def floats(n):
    x, total = 0.5, 0.0
    for _ in range(n):
        x = 3.7 * x * (1 - x)
        total += x
    return round(total, 3)


def matrix(n):
    rows = [[(i * j) % 7 for j in range(n)] for i in range(n)]
    return sum(sum(x * y for x, y in zip(row, column)) for row in rows for column in zip(*rows))


PARTS = ((fibonacci, 22), (records, 60000), (sieve, 300000), (words, 100000), (floats, 200000), (matrix, 60))


def handler(params, context):
    times = {}
    for part, n in PARTS:
        began = time.perf_counter()
        part(n)
        times[part.__name__] = (time.perf_counter() - began) * 1000
    return times
'''
RUNTIMES = ("python-wasm", "python")
# Templates of containers, from which a first call's container is made, and the seconds in which one is ready again.
SETTINGS = {"container.cells": 2}
TEMPLATE_SECONDS = 1.5
# The container serves all calls in one agent, and all processors.
SHARED = {"CPUDemand": 0, "MaxConcurrency": 64}


def show(name, value, unit):
    print(f"figure {name} {value:.2f} {unit}", flush=True)


def body(params):
    return json.dumps({"Params": params, "CanDoOffloading": False})


def milliseconds(server, name, params):
    began = time.perf_counter()
    post(server, f"/invoke/{name}", body(params))
    return (time.perf_counter() - began) * 1e3


def measure_load(server, options, scratch):
    """Requests per second, each kind of function in turns."""
    kinds = {}
    for part, code, params in (("hello", HELLO, HELLO_PARAMS), ("typical", TYPICAL, TYPICAL_PARAMS)):
        for kind, runtime, more in (("wasm", "python-wasm", {}), ("container", "python", {}), ("shared", "python", SHARED)):
            name = f"{part}-{kind}"
            deploy(server, name, code.encode(), Runtime=runtime, Handler="function.handler", **more)
            kinds[name] = (f"/invoke/{name}", body(params))
            # Containers start.
            wrk(server, *kinds[name], 1, options.connections, scratch)
    results = {name: [] for name in kinds}
    for turn in range(options.rounds):
        for name in list(kinds)[:: -1 if turn % 2 else 1]:
            results[name].append(wrk(server, *kinds[name], options.seconds, options.connections, scratch))
    for name, samples in results.items():
        rate, p50, p99 = (statistics.median(sample) for sample in zip(*samples))
        print(f"figure {name} {rate:.0f} requests/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    for part in ("hello", "typical"):
        for other in ("container", "shared"):
            ratios = [ours[0] / theirs[0] for ours, theirs in zip(results[f"{part}-wasm"], results[f"{part}-{other}"])]
            print(f"ratio python-{part}-wasm/{other} {statistics.median(ratios):.2f}")


def measure_first(server, options, _scratch):
    """The first call of a function that was just deployed, and one more."""
    times = {runtime: ([], []) for runtime in RUNTIMES}
    for number in range(options.functions):
        for runtime in RUNTIMES:
            name = f"first-{runtime}-{number}"
            deploy(server, name, (TEN_LINES % number).encode(), Runtime=runtime, Handler="function.handler")
            server.wait_until_quiet()
            if runtime == "python":
                time.sleep(TEMPLATE_SECONDS)
            for samples in times[runtime]:
                samples.append(milliseconds(server, name, HELLO_PARAMS))
            if runtime == "python":
                # Its container goes.
                post(server, "/delete", {"Name": name})
    for runtime, (first, second) in times.items():
        show(f"first-call-{runtime}", statistics.median(first), "ms")
        show(f"second-call-{runtime}", statistics.median(second), "ms")
    print(f"ratio first-call-wasm/container {statistics.median(times['python-wasm'][0]) / statistics.median(times['python'][0]):.3f}")


def measure_deploy(server, options, _scratch):
    """A deploy: until its reply, and of processor time of the node and its children."""
    walls, processor = [], []
    for number in range(options.functions):
        before, began = server.processor_seconds(), time.perf_counter()
        deploy(server, f"deploy-{number}", (TEN_LINES % (1000 + number)).encode(), Runtime="python-wasm", Handler="function.handler")
        walls.append((time.perf_counter() - began) * 1e3)
        server.wait_until_quiet()
        processor.append((server.processor_seconds() - before) * 1e3)
    show("deploy-python-wasm", statistics.median(walls), "ms")
    show("deploy-python-wasm-worst", max(walls), "ms")
    # The quiet half seconds in it add a tick now and then.
    show("deploy-python-wasm-processor", statistics.mean(processor), "ms")


def measure_memory(server, options, _scratch):
    """Resident memory and machine code of a function that is deployed and called, beyond those of the first ones."""
    def prepared(number):
        name = f"memory-{number}"
        deploy(server, name, (TEN_LINES % (2000 + number)).encode(), Runtime="python-wasm", Handler="function.handler")
        post(server, f"/invoke/{name}", body(HELLO_PARAMS))

    # What the node's allocator keeps grows with the first ones.
    for number in range(WARM_UP_FUNCTIONS):
        prepared(number)
    server.wait_until_quiet()
    before, code = server.memory_kib(), sum(machine_code(server.data).values())
    for number in range(WARM_UP_FUNCTIONS, WARM_UP_FUNCTIONS + options.functions):
        prepared(number)
    server.wait_until_quiet()
    after, code_after = server.memory_kib(), sum(machine_code(server.data).values())
    for name in before:
        show(f"memory-{name.lower().replace('_', '-')}-per-function", (after[name] - before[name]) / 1024 / options.functions, "MiB")
    show("machine-code-file-per-function", (code_after - code) / (1 << 20) / options.functions, "MiB")


def measure_compute(server, options, scratch):
    """A program that only computes, beside native Python: sums of the fastest times of its parts."""
    deploy(server, "compute", COMPUTE.encode(), Runtime="python-wasm", Handler="function.handler", Timeout=60)
    path = os.path.join(scratch, "compute.py")
    with open(path, "w") as file:
        file.write(COMPUTE + "\n\nimport json\nprint(json.dumps(handler({}, {})))\n")
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(json.loads(json.loads(post(server, "/invoke/compute", body({})))["Result"]))
        theirs.append(json.loads(subprocess.run([options.native, path], capture_output=True, check=True).stdout))
    totals = []
    for name in ours[0]:
        mine, native = (min(sample[name] for sample in samples) for samples in (ours, theirs))
        totals.append((mine, native))
        print(f"figure compute-{name} {mine:.1f} ms (native {native:.1f}), ratio {native / mine:.2f}")
    print(f"ratio compute/native {sum(native for _, native in totals) / sum(mine for mine, _ in totals):.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of load of each kind in a round")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--functions", type=int, default=10, help="deployed for first calls, deploys and memory")
    parser.add_argument("--native", metavar="PROGRAM", default="python3.13", help="a native Python 3.13 for what computes")
    parser.add_argument("--only", choices=("load", "first", "deploy", "memory", "compute"))
    options = parser.parse_args()
    print_machine()
    parts = {"load": measure_load, "first": measure_first, "deploy": measure_deploy, "memory": measure_memory,
             "compute": measure_compute}
    if not shutil.which(options.native):
        print(f"{options.native} is missing (--native PROGRAM): measuring without it")
        del parts["compute"]
    for name, part in parts.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory() as scratch, nodes(scratch, settings=SETTINGS) as servers:
                server = servers["ours"]
                # The interpreter is compiled once on each node.
                began = time.perf_counter()
                deploy(server, "warm-up", HELLO.encode(), Runtime="python-wasm", Handler="function.handler")
                if name == "deploy":
                    show("deploy-first-on-node", (time.perf_counter() - began) * 1e3, "ms")
                server.wait_until_quiet()
                part(server, options, scratch)


if __name__ == "__main__":
    main()
