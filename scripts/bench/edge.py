"""The measurements of edge.sh: needs a release binary and browsers. All is on loopback, and is stopped by its id."""

import argparse
import base64
import contextlib
import gzip
import http.client
import json
import os
import re
import statistics
import sys
import tempfile
import time

import browsers
from bench import ROOT, SCRIPT, SCRIPT_PARAMS, distinct, module, nodes, print_machine

SITE = os.path.join(ROOT, "examples", "browser-edge", "site.wat")
PAGE = os.path.join(ROOT, "scripts", "bench", "edge-page.js")
# Where the file begins in the memory of SITE.
BODY_AT = 4096
DOCUMENT = b"""<!doctype html><title>edge</title><link rel="icon" href="data:,">
<script type="module" src="page.js"></script>"""
PARAMS = json.dumps(SCRIPT_PARAMS)
ENDLESS = b"""(module (memory (export "memory") 1)
  (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "serverledge_handle") (param i32 i32) (result i64) (loop $for_ever (br $for_ever)) (unreachable)))"""
# Calls a function so often: what a call costs inside the Worker, without messages between it and the page.
CALLS_OTHER = """(module
  (import "serverledge" "call" (func $call (param i32 i32 i32 i32 i32 i32) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "{name}") (data (i32.const 128) "{params}")
  (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 4096))
  (func (export "serverledge_handle") (param i32 i32) (result i64)
    (local $left i32) (local $reply i64)
    (local.set $left (i32.const {calls}))
    (loop $next
      (local.set $reply (call $call (i32.const 0) (i32.const {name_length}) (i32.const 128) (i32.const {params_length})
        (i32.const 1024) (i32.const 512)))
      (if (i64.lt_s (local.get $reply) (i64.const 0)) (then unreachable))
      (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i64.or (i64.shl (i64.const 1024) (i64.const 32)) (local.get $reply))))"""
LIMIT_SECONDS = 1
# Calls of a batch: browsers' clocks may have one tick a millisecond.
CALLS = {"add": 200, "script": 40}
CALLED = {"add": "add", "script": "script-0"}
NESTED = {"add": 500, "script": 100}
# Seconds after a loop was ended, until its core has to be free; and so long the processors are looked at.
FREE_AFTER_SECONDS = 3
LOOKED_AT_SECONDS = 2
# A browser that takes more than this share of a core still runs the loop.
BUSY_SHARE = 0.3

# The bounds of figures: by the figure's name, at most this, or by browsers.
AT_MOST = {
    "sdk-gzip-bytes": 8 * 1024,
    "cached-module-ms": {"chromium": 30, "firefox": 60, "webkit": 60},
    "second-snapshot-bytes": 20_000,
    "loop-over-limit-ms": 300,
    "loop-share-later": BUSY_SHARE,
}
AT_LEAST = {
    "add-node/here": 10,
    "add-node/in-worker": 10,
    "script-node/here": 1.5,
    "script-node/in-worker": 1.5,
}


def ask(server, method, path, body=None):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request(method, path, None if body is None else json.dumps(body))
    response = connection.getresponse()
    text = response.read()
    connection.close()
    if response.status >= 300:
        raise SystemExit(f"{method} {path}: {response.status} {text[:300]!r}")
    return text


def put(server, name, code, **more):
    body = {"Name": name, "TarFunctionCode": base64.b64encode(code).decode(), **more}
    ask(server, "POST", "/apps/shop/create", body)


def application(server, snapshots, reports):
    """The application `shop`: a page with an origin of its own, and the functions that it runs."""
    ask(server, "POST", "/apps", {"name": "shop"})
    ask(server, "PATCH", "/apps/shop", {"own_origin": True})
    put(server, "add", module("add"), Edge=True)
    for kind, calls in NESTED.items():
        put(server, f"one-{kind}", calls_other(CALLED[kind], 1), Edge=True)
        put(server, f"many-{kind}", calls_other(CALLED[kind], 1 + calls), Edge=True)
    put(server, "endless", ENDLESS, Edge=True, Timeout=LIMIT_SECONDS)
    for number in range(snapshots):
        put(server, f"script-{number}", distinct(SCRIPT, number), Runtime="javascript")
    library = ask(server, "GET", "/sdk/edge.js")
    with open(PAGE, "rb") as file:
        page = file.read()
    serve(server, "index.html", "text/html; charset=utf-8", DOCUMENT, reports)
    serve(server, "page.js", "text/javascript", page, reports)
    serve(server, "edge.js", "text/javascript", library, reports)
    for part in set(re.findall(r"\./([a-z-]+\.js)", library.decode())):
        serve(server, part, "text/javascript", ask(server, "GET", f"/sdk/{part}"), reports)
    ask(server, "POST", "/apps/shop/start", {})
    return library


def calls_other(name, calls):
    params = PARAMS.replace('"', "\\22")
    lengths = {"name_length": len(name), "params_length": len(PARAMS)}
    return CALLS_OTHER.format(name=name, params=params, calls=calls, **lengths).encode()


def offer(server, snapshots, *numbers):
    """Lets callers run these scripts and no others: one alone is fetched whole, several by their differences to a base."""
    for each in range(snapshots):
        ask(server, "POST", f"/apps/shop/functions/script-{each}/flags", {"Edge": each in numbers})


def serve(server, path, media_type, body, reports):
    """A file of the page, as a function that answers with it."""
    policy = ("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src blob:; img-src data:; "
              f"connect-src 'self' {reports}")
    with open(SITE) as file:
        text = file.read()
    replaced = {"TYPE": media_type, "TYPE_LENGTH": len(media_type), "POLICY": policy, "POLICY_LENGTH": len(policy),
                "BODY": "".join(f"\\{byte:02x}" for byte in body), "BODY_END": BODY_AT + len(body)}
    for name, value in replaced.items():
        text = text.replace(f"@{name}@", str(value))
    name = "page-" + path.replace(".", "-")
    put(server, name, text.encode())
    ask(server, "PUT", "/apps/shop/endpoints", {"path": path, "function": name, "method": "GET"})


def transferred(one):
    """The bytes of a response's body that came over the wire; none if it came from the browser's cache."""
    return one["encoded"] if one["transferred"] > 0 else 0


class Visit:
    """A browser at the page of one node."""

    def __init__(self, options, name, command, server, page, display, scratch):
        self.options, self.name, self.command = options, name, command
        self.server, self.page, self.display = server, page, display
        self.profile = tempfile.mkdtemp(prefix=f"{name}-", dir=scratch)
        self.opened = 0

    def url(self):
        self.opened += 1
        return f"http://shop.localhost:{self.server.port}/index.html?reports={self.page.url}&visit={self.opened}"

    @contextlib.contextmanager
    def browser(self):
        browser = browsers.Browser(self.name, self.command, self.profile, self.url(), self.display)
        try:
            self.page.outcome()
            yield browser
        finally:
            browser.stop()
            self.page.forget()

    def measured(self):
        figures = {}
        with self.browser():
            figures |= self.downloads() | self.calls()
        # In a browser that was started anew, so that nothing but its cache is left.
        with self.browser() as browser:
            figures |= self.cached_modules() | self.loops(browser)
        return figures

    def downloads(self):
        """What a snapshot costs on the wire: alone, and two that have one base. Then the cache has all."""
        figures = {}
        offer(self.server, self.options.rounds, 0, 1)
        self.page.do("connect")
        for number, name in enumerate(["first", "second"]):
            run = self.page.do("first", name=f"script-{number}", params=PARAMS)
            figures[f"{name}-snapshot-bytes"] = sum(map(transferred, run["fetched"]))
        for number in range(self.options.rounds):
            run = self.first(number)[1]
            if number == 0:
                figures["snapshot-alone-bytes"] = sum(map(transferred, run["fetched"]))
        return figures

    def first(self, number):
        """The time of connecting in this page, and the first run of a script."""
        offer(self.server, self.options.rounds, number)
        connected = self.page.do("connect")["milliseconds"]
        return connected, self.page.do("first", name=f"script-{number}", params=PARAMS)

    def calls(self):
        figures = {}
        offer(self.server, self.options.rounds, 0)
        self.page.do("connect")
        for kind, name in CALLED.items():
            batches = self.options.rounds
            nested = self.page.do("nested", one=f"one-{kind}", many=f"many-{kind}", batches=batches)
            # The best of each: what disturbs one of the two does not fall on the difference.
            in_worker = (min(nested["many"]) - min(nested["one"])) / NESTED[kind]
            times = self.page.do("compare", name=name, params=PARAMS, batches=batches, calls=CALLS[kind])
            for place, samples in times.items():
                figures[f"{kind}-{place}-us"] = min(samples) * 1e3
            figures[f"{kind}-in-worker-us"] = in_worker * 1e3
            figures[f"{kind}-node/here"] = min(times["node"]) / min(times["here"])
            figures[f"{kind}-node/in-worker"] = min(times["node"]) / in_worker
            medians = {place: statistics.median(samples) for place, samples in times.items()}
            figures[f"{kind}-node/here-median"] = medians["node"] / medians["here"]
        return figures

    def cached_modules(self):
        """From the browser's cache to a result: each in a new page, of a module that nothing has compiled."""
        runs, connects, missing = [], [], 0
        for number in range(self.options.rounds):
            self.page.go(self.url())
            connected, first = self.first(number)
            connects.append(connected)
            runs.append(first["milliseconds"])
            missing += any(map(transferred, first["fetched"]))
        if missing:
            print(f"{self.name}: {missing} of {self.options.rounds} modules were not in its cache", file=sys.stderr)
        return {
            "connect-ms": min(connects),
            "cached-module-ms": min(runs),
            "cached-module-ms-median": statistics.median(runs),
        }

    def loops(self, browser):
        """The first one, and what it leaves behind; the others only if that is nothing."""
        over = [self.loop()]
        time.sleep(FREE_AFTER_SECONDS)
        share = browser.processor_share(LOOKED_AT_SECONDS)
        if share <= BUSY_SHARE:
            over += [self.loop() for _ in range(self.options.rounds - 1)]
        return {"loop-over-limit-ms": min(over), "loop-over-limit-ms-worst": max(over), "loop-share-later": share}

    def loop(self):
        told = self.page.do("loop", endless="endless", name="add", params=PARAMS)
        if told["code"] != "function_timeout":
            raise SystemExit(f"the loop ended otherwise: {told['code']}")
        return told["milliseconds"] - LIMIT_SECONDS * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="samples of each figure, of which the best one counts")
    parser.add_argument("--only", choices=tuple(browsers.PACKAGES), help="one browser")
    parser.add_argument("--markdown", action="store_true", help="tables as in docs/benchmarks.md")
    parser.add_argument("--against", metavar="FOLDER",
                        help="a folder with another build of serverledge, measured in turn with this one")
    options = parser.parse_args()
    options.rounds = max(options.rounds, 2)
    print_machine()
    commands = {name: command for name, command in browsers.installed().items() if options.only in (None, name)}
    for name, packages in browsers.PACKAGES.items():
        if name not in commands and options.only in (None, name):
            print(f"{name} is not installed ({packages}): measured without")
    page = browsers.Page()
    with tempfile.TemporaryDirectory() as scratch, nodes(scratch, options.against) as servers:
        libraries = {build: application(server, options.rounds, page.url) for build, server in servers.items()}
        figures = {build: {"sdk-bytes": len(library), "sdk-gzip-bytes": len(gzip.compress(library, 9))}
                   for build, library in libraries.items()}
        for name, command in commands.items():
            display = browsers.Display() if name == "webkit" else None
            try:
                for build, server in servers.items():
                    print(f"{name}: {build}", file=sys.stderr)
                    visit = Visit(options, name, command, server, page, display, scratch)
                    figures[build] |= {f"{name} {figure}": value for figure, value in visit.measured().items()}
            finally:
                if display:
                    display.stop()
    page.stop()
    report(list(commands), figures, options.markdown)


def report(names, figures, markdown):
    ours, against = figures["ours"], figures.get("against", {})
    for figure in ("sdk-bytes", "sdk-gzip-bytes"):
        print_line(figure, ours[figure], against.get(figure))
    rows = [["figure", *names, "wanted"]]
    for figure in dict.fromkeys(key.split(" ")[1] for key in ours if " " in key):
        rows.append([figure, *(shown(ours[f"{name} {figure}"]) for name in names), wanted(figure, names)])
    print_table(rows, markdown)
    for key, value in ours.items():
        if " " in key:
            print_line(key.replace(" ", "-"), value, against.get(key))
    missed = {key: bound for key, value in ours.items() if (bound := missed_bound(key, value))}
    print("" if missed else "\nall within their bounds")
    for key, bound in missed.items():
        print(f"beyond its bound: {key.replace(' ', '-')} {shown(ours[key])}: wanted {bound}")


def print_line(name, value, other):
    kind = "ratio" if "/" in name else "figure"
    print(f"{kind} {name} {shown(value)}")
    if other:
        print(f"ratio {name}/against {value / other:.3f}")


def print_table(rows, markdown):
    print()
    if markdown:
        rows = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
        print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    else:
        widths = [max(map(len, column)) for column in zip(*rows)]
        for row in rows:
            cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
            print("  ".join(cells).rstrip())
    print()


def shown(value):
    """Three digits that count, and whole numbers whole."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def bound_of(name, figure):
    """The word and the number; none for figures without a bound."""
    most, least = AT_MOST.get(figure), AT_LEAST.get(figure)
    if least is not None:
        return "at least", least
    most = most.get(name) if isinstance(most, dict) else most
    return None if most is None else ("at most", most)


def wanted(figure, names):
    bounds = dict.fromkeys(bound_of(name, figure) for name in names)
    return " / ".join(f"{word} {shown(number)}" for word, number in filter(None, bounds))


def missed_bound(key, value):
    name, _, figure = key.rpartition(" ")
    bound = bound_of(name, figure)
    if bound is None or (value <= bound[1] if bound[0] == "at most" else value >= bound[1]):
        return None
    return f"{bound[0]} {shown(bound[1])}"


if __name__ == "__main__":
    main()
