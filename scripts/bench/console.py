"""The measurements of console.sh: needs a release binary and Chromium. All is on loopback, and is stopped by its id."""

import argparse
import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading

import browsers
from bench import deploy, module, nodes, print_machine

PATIENCE_SECONDS = 60
CLIENTS = 4
# Of the records that a node keeps, this share is for runs without a result.
FAILED_SHARE = 0.25
# So that the first visit finds what others would: the node has answered each of these before.
PREPARED = ("/functions", "/stats", "/invocations?limit=1000")

# What a page shows when it can be used: names of figures, and expressions that are true then.
READY = {
    "/functions": {"functions/usable-ms": "document.querySelectorAll('tbody tr a').length >= 50"},
    "/runs": {
        "runs/first-rows-ms": "document.querySelectorAll('tbody tr a').length >= 50",
        "runs/scatter-drawn-ms": "document.querySelector('canvas') !== null",
        # A few of the oldest may have made room for others.
        "runs/all-drawn-ms": "document.querySelector('canvas') !== null && "
                             "Number(document.querySelector('.summary strong')?.textContent.replace(',', '')) >= RUNS * 0.98",
    },
    "/new-function": {
        "editor/usable-ms": "[...document.querySelectorAll('*')].some((one) => one.shadowRoot?.querySelector('.cm-content'))",
    },
}
# Figures by their names: at most this.
AT_MOST = {
    "functions/usable-ms": 1000,
    "runs/scatter-drawn-ms": 1000,
    "first-load-bytes": 250_000,
    "first-load-with-editor-bytes": 450_000,
}
# Looks at each frame, and keeps the first time at which something was true.
WATCH = """
globalThis.figures = {};
const waited = %s;
const look = () => {
  for (const [name, is] of Object.entries(waited)) {
    if (globalThis.figures[name] === undefined && document.body !== null && is()) globalThis.figures[name] = performance.now();
  }
  if (Object.keys(globalThis.figures).length < Object.keys(waited).length) requestAnimationFrame(look);
};
look();
"""


class Chromium:
    """A browser that is driven with the DevTools protocol over two pipes, and counts the bytes that it receives."""

    def __init__(self, profile):
        commands_read, self.commands = os.pipe()
        self.messages, messages_write = os.pipe()
        command = browsers.installed()["chromium"] + ["--remote-debugging-pipe", "about:blank"]
        command = [part.replace("PROFILE", profile) for part in command]
        # The pipes are its descriptors 3 and 4.
        shell = f'exec "$@" 3<&{commands_read} 4>&{messages_write}'
        self.process = subprocess.Popen(["bash", "-c", shell, "bash", *command], pass_fds=(commands_read, messages_write),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(commands_read)
        os.close(messages_write)
        self.buffer, self.last, self.received, self.urls = b"", 0, {}, {}

    def ask(self, method, session=None, **params):
        self.last += 1
        message = {"id": self.last, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                return answer["result"]

    def receive(self):
        while b"\0" not in self.buffer:
            piece = os.read(self.messages, 1 << 16)
            if not piece:
                raise SystemExit("chromium has ended")
            self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\0")
        message = json.loads(line)
        params = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.urls[params["requestId"]] = params["request"]["url"]
        if message.get("method") == "Network.loadingFinished":
            url = self.urls.get(params["requestId"], "")
            self.received[url] = self.received.get(url, 0) + params["encodedDataLength"]
        return message

    def visit(self, url, ready):
        """A first visit of a page: when it showed what it should, and the bytes of the console's files."""
        self.received, self.urls = {}, {}
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network"):
            self.ask(f"{domain}.enable", session)
        self.ask("Emulation.setDeviceMetricsOverride", session, width=1280, height=800, deviceScaleFactor=1, mobile=False)
        waited = "{" + ",".join(f"{json.dumps(name)}: () => {expression}" for name, expression in ready.items()) + "}"
        self.ask("Page.addScriptToEvaluateOnNewDocument", session, source=WATCH % waited)
        self.ask("Page.navigate", session, url=url)
        wait = f"""new Promise((done, fail) => {{
          const timer = setTimeout(() => fail(new Error(JSON.stringify(globalThis.figures))), {PATIENCE_SECONDS * 1000});
          const look = () => {{
            if (Object.keys(globalThis.figures ?? {{}}).length < {len(ready)}) return setTimeout(look, 20);
            clearTimeout(timer); done(globalThis.figures);
          }};
          look();
        }})"""
        found = self.ask("Runtime.evaluate", session, expression=wait, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise SystemExit(f"{url} did not show what it should: {found['exceptionDetails']['exception']['description']}")
        files = sum(count for one, count in self.received.items() if "/console/" in one)
        self.ask("Target.disposeBrowserContext", browserContextId=context)
        return found["result"]["value"], files

    def stop(self):
        with contextlib.suppress(SystemExit, OSError):
            self.ask("Browser.close")
        self.process.wait(timeout=browsers.END_SECONDS_MAX)


def call(server, numbers, functions):
    """Calls functions, of which a share fails: its parameters are none."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    for number in numbers:
        params = {"a": number, "b": 1} if number % round(1 / FAILED_SHARE) else {}
        body = json.dumps({"Params": params})
        connection.request("POST", f"/invoke/f{number % functions}", body, {"Content-Type": "application/json"})
        connection.getresponse().read()
    connection.close()


def fill(server, options):
    code = module("add")
    for number in range(options.functions):
        deploy(server, f"f{number}", code)
    parts = [range(part, options.runs, CLIENTS) for part in range(CLIENTS)]
    threads = [threading.Thread(target=call, args=(server, part, options.functions)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for path in PREPARED:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
        connection.request("GET", path)
        connection.getresponse().read()
        connection.close()


def measure(server, options, profile):
    figures = {}
    browser = Chromium(profile)
    try:
        for round_number in range(options.rounds + 1):
            for path, ready in READY.items():
                ready = {name: expression.replace("RUNS", str(options.runs)) for name, expression in ready.items()}
                times, files = browser.visit(f"http://{server.host}:{server.port}/console{path}", ready)
                # The first round is the browser's own warming up.
                if round_number > 0:
                    for name, value in times.items():
                        figures.setdefault(name, []).append(value)
                if path == "/functions":
                    figures["first-load-bytes"] = [files]
                if path == "/new-function":
                    figures["first-load-with-editor-bytes"] = [files]
    finally:
        browser.stop()
    return {name: statistics.median(values) for name, values in figures.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--functions", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=10_000)
    options = parser.parse_args()
    print_machine()
    sys.stdout.flush()
    settings = {"runs.full_rate": 1_000_000, "runs.capacity": options.runs}
    with tempfile.TemporaryDirectory() as scratch, nodes(scratch, settings=settings) as running:
        server = running["ours"]
        fill(server, options)
        figures = measure(server, options, os.path.join(scratch, "chromium"))
    for name, value in figures.items():
        print(f"figure console/{name} {value:.0f}")
    sys.stdout.flush()
    beyond = [f"{name} is {figures[name]:.0f}, more than {most}" for name, most in AT_MOST.items() if figures[name] > most]
    if beyond:
        raise SystemExit("\n".join(["beyond its bound:", *beyond]))


if __name__ == "__main__":
    main()
