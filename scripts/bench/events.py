"""The measurements of events.sh: what runs, events and an open console cost a node. Release binaries; everything listens on
loopback and is stopped by its id."""

import argparse
import http.client
import json
import multiprocessing
import os
import selectors
import socket
import statistics
import tempfile
import time

from bench import BIN, SCRIPT_PARAMS, deploy, module, node, post, print_machine

READERS = 100


def stream(server, read):
    """A socket on /events; one that is not read has the smallest buffer."""
    one = socket.socket()
    if not read:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect((server.host, server.port))
    one.sendall(f"GET /events HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n\r\n".encode())
    return one


class Readers:
    """Open streams: all but one are read, in a process of their own, which leaves the caller's interpreter alone."""

    def __init__(self, server, number):
        self.sockets = [stream(server, True) for _ in range(number - 1)]
        self.deaf = stream(server, False)
        self.process = multiprocessing.get_context("fork").Process(target=self.read, daemon=True)
        self.process.start()

    def read(self):
        chosen = selectors.DefaultSelector()
        for one in self.sockets:
            chosen.register(one, selectors.EVENT_READ)
        while True:
            for key, _ in chosen.select():
                key.fileobj.recv(1 << 20)

    def close(self):
        self.process.kill()
        self.process.join()
        for one in [*self.sockets, self.deaf]:
            one.close()


def calls(server, body, number):
    """The durations of so many calls, one after the other, in milliseconds."""
    connection = http.client.HTTPConnection(server.host, server.port)
    took = []
    for _ in range(number):
        begun = time.perf_counter()
        connection.request("POST", "/invoke/add", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"a call was answered {answer.status}")
        took.append((time.perf_counter() - begun) * 1000)
    connection.close()
    return took


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def measure_readers(server, options, body):
    alone, beside = [], []
    for _ in range(options.rounds):
        alone.append(calls(server, body, options.calls))
        readers = Readers(server, READERS)
        time.sleep(0.5)
        beside.append(calls(server, body, options.calls))
        readers.close()
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        one = statistics.median(percentile(took, share) for took in alone)
        other = statistics.median(percentile(took, share) for took in beside)
        print(f"figure events/{name}-alone {one:.3f} ms")
        print(f"figure events/{name}-beside-{READERS}-readers {other:.3f} ms")
        print(f"ratio events/{name} {other / one:.2f}")


def measure_idle(server, options):
    """A console that shows the node: one stream of loads, and the polls of its pages."""
    one = stream(server, True)
    connection = http.client.HTTPConnection(server.host, server.port)
    begun, cpu = time.monotonic(), cpu_seconds(server.process.pid)
    while time.monotonic() - begun < options.idle:
        for route in ("/stats", "/stats/node", "/peers", "/sandboxes"):
            connection.request("GET", route)
            connection.getresponse().read()
        time.sleep(10)
    share = (cpu_seconds(server.process.pid) - cpu) / (time.monotonic() - begun)
    one.close()
    print(f"figure console/idle-share-of-a-core {share:.4f}")


def measure_memory(options, scratch, body):
    """Resident memory at the bounds: the rings of runs and of events full, a thousand functions with figures."""
    for name, folder in (("memory", BIN), ("against-memory", options.against)):
        if not folder:
            continue
        data = os.path.join(scratch, name)
        os.mkdir(data)
        server = node(data, folder=folder)
        try:
            code = module("add")
            for at in range(1000):
                deploy(server, f"f{at}", code)
            deployed = resident_mib(server.process.pid)
            # A node without events answers it with an error.
            reader = stream(server, False)
            connection = http.client.HTTPConnection(server.host, server.port)
            for at in range(30_000):
                connection.request("POST", f"/invoke/f{at % 1000}", body, {"Content-Type": "application/json"})
                connection.getresponse().read()
            print(f"figure {name}/with-1000-functions {deployed:.1f} MiB")
            print(f"figure {name}/after-30000-runs {resident_mib(server.process.pid):.1f} MiB")
            reader.close()
        finally:
            server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--idle", type=int, default=60, help="seconds for which an idle console is watched")
    parser.add_argument("--only", choices=["readers", "idle", "memory"])
    parser.add_argument("--against", metavar="FOLDER", help="a folder with a build of serverledge without records of runs, whose memory is compared")
    options = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as scratch:
        data = os.path.join(scratch, "node")
        os.mkdir(data)
        server = node(data)
        try:
            deploy(server, "add", module("add"))
            body = json.dumps({"Params": SCRIPT_PARAMS})
            post(server, "/invoke/add", body)
            if options.only in (None, "readers"):
                measure_readers(server, options, body)
            if options.only in (None, "idle"):
                measure_idle(server, options)
            if options.only in (None, "memory"):
                measure_memory(options, scratch, body)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
