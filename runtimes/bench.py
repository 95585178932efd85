#!/usr/bin/env python3
"""Measures the agents over their socket: start, memory, and what an invocation costs.

    bench.py [python] [nodejs]     both, as plain processes
    --images                       in the images instead, as the node starts them (needs Docker)
    --case NAME                    noop (default), context, async, print, error, echo64k
    --calls N --concurrency 1,8    calls for each concurrency
    --json                         one JSON object a line

CPU is the agent's own, user and system time together; the wall time includes the load generator, which runs on the same
machine, in Python, in one thread.
"""

import argparse
import json
import os
import selectors
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tests"))
sys.dont_write_bytecode = True
from support import Agent, AgentInImage, EXTENSIONS, request_bytes  # noqa: E402

CASES = {
    "noop": ("def handler(params):\n return params", "exports.handler = (params) => params;"),
    "context": ("def handler(params, context):\n return context", "exports.handler = (params, context) => context;"),
    "async": ("async def handler(params):\n return params", "exports.handler = async (params) => params;"),
    "print": ("def handler(params):\n print('a line of text')\n return params",
              "exports.handler = (params) => { console.log('a line of text'); return params; };"),
    "error": ("def handler(params):\n raise ValueError('no')", "exports.handler = () => { throw new TypeError('no'); };"),
    "echo64k": ("def handler(params):\n return params", "exports.handler = (params) => params;"),
}
WARM_UP = 2000
HEADERS = {"serverledge-invocation": "0123456789abcdef0123456789abcdef", "serverledge-function": "noop",
           "serverledge-deadline": "1700000000000", "serverledge-memory": "128"}


def memory_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        fields = dict(line.split(":") for line in file if ": " in line and not line[0].isdigit())
    return {name: int(fields[key].split()[0]) for name, key in (("rss", "Rss"), ("pss", "Pss"), ("own", "Anonymous"))}


def measure_start(kind, runtime, rounds=10):
    """Median times from the start of the process (or of `docker run`) until the socket is there and until it answers."""
    socket_times, answer_times = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        with kind(runtime) as agent:
            socket_times.append(time.perf_counter() - started)
            agent.connect().request("GET", "/health")
            answer_times.append(time.perf_counter() - started)
            wait_until_idle(agent.pid())
            memory = memory_kib(agent.pid())
    return {"socket_ms": median(socket_times) * 1e3, "answer_ms": median(answer_times) * 1e3, **memory}


def wait_until_idle(pid):
    """Until the agent has loaded what it loads in the background."""
    before = -1
    while before != (now := cpu_ticks(pid)):
        before = now
        time.sleep(0.2)


def median(values):
    return sorted(values)[len(values) // 2]


def run(path, request, calls, concurrency):
    """Sends `calls` requests over that many connections, one at a time on each; the latencies in seconds."""
    selector = selectors.EpollSelector()
    sent_at, received, latencies, left = {}, {}, [], calls
    for _ in range(concurrency):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        selector.register(connection, selectors.EVENT_READ)
        received[connection] = b""
        sent_at[connection] = time.perf_counter()
        connection.sendall(request)
        left -= 1
    while len(latencies) < calls:
        for key, _ in selector.select():
            connection = key.fileobj
            data = received[connection] + connection.recv(1 << 20)
            if not is_whole(data):
                received[connection] = data
                continue
            received[connection] = b""
            now = time.perf_counter()
            latencies.append(now - sent_at[connection])
            if left > 0:
                left -= 1
                sent_at[connection] = now
                connection.sendall(request)
    for connection in sent_at:
        connection.close()
    return latencies


def is_whole(data):
    """Whether all of an answer is there, of which nothing but its end can look like one."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    head = data[:head_end]
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"the agent answered {data[:200]!r}")
    place = head.find(b"content-length: ")
    if place < 0:
        return data.endswith(b"\r\n0\r\n\r\n")
    return len(data) >= head_end + 4 + int(head[place + 16:].partition(b"\r\n")[0])


def measure_calls(kind, runtime, case, calls, concurrency):
    source = CASES[case][runtime == "nodejs"]
    params = {"text": "x" * 65536} if case == "echo64k" else {"name": "edge"}
    with kind(runtime) as agent:
        answer = agent.connect().bind({f"main.{EXTENSIONS[runtime]}": source}, concurrency=concurrency)
        if answer.status != 200:
            raise RuntimeError(f"the agent refused the function: {answer}")
        request = request_bytes("POST", "/invoke", json.dumps(params).encode(), HEADERS)
        run(agent.socket_path, request, WARM_UP, concurrency)
        cpu_before, started = cpu_ticks(agent.pid()), time.perf_counter()
        latencies = sorted(run(agent.socket_path, request, calls, concurrency))
        wall = time.perf_counter() - started
        cpu = (cpu_ticks(agent.pid()) - cpu_before) / os.sysconf("SC_CLK_TCK")
        return {"calls_per_second": calls / wall, "cpu_us": cpu / calls * 1e6, "wall_us": wall / calls * 1e6,
                "p50_us": latencies[calls // 2] * 1e6, "p99_us": latencies[calls * 99 // 100] * 1e6, **memory_kib(agent.pid())}


def cpu_ticks(pid):
    """User and system time of a process, its ended threads included."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runtimes", nargs="*", metavar="python|nodejs")
    parser.add_argument("--images", action="store_true")
    parser.add_argument("--case", default="noop", choices=CASES)
    parser.add_argument("--calls", type=int, default=50_000)
    parser.add_argument("--concurrency", default="1,8")
    parser.add_argument("--no-start", action="store_true", help="leave out start and memory")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    kind = AgentInImage if options.images else Agent
    for runtime in options.runtimes or ["python", "nodejs"]:
        if not options.no_start:
            show(options, {"runtime": runtime, **measure_start(kind, runtime)},
                 "{runtime}: socket after {socket_ms:.1f} ms, answer after {answer_ms:.1f} ms, waiting for a function: "
                 "{rss} KiB resident, {own} KiB its own")
        for concurrency in map(int, options.concurrency.split(",")):
            found = measure_calls(kind, runtime, options.case, options.calls, concurrency)
            show(options, {"runtime": runtime, "case": options.case, "concurrency": concurrency, **found},
                 "{runtime}: {case}, {concurrency} at a time: {calls_per_second:.0f}/s, {cpu_us:.1f} µs CPU, {wall_us:.1f} µs "
                 "wall a call, p50 {p50_us:.0f} µs, p99 {p99_us:.0f} µs, {rss} KiB resident")


def show(options, values, text):
    print(json.dumps(values) if options.json else text.format(**values), flush=True)


if __name__ == "__main__":
    main()
