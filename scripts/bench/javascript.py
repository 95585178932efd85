"""What the measurements of scripts need from npm: a bundle of the size that real handlers have, and workerd."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys

from bench import TARGET, Server

# A validator and its use: 265 kB, which compile their schema when they are loaded.
PACKAGES = {"ajv": "8.20.0", "esbuild": "0.28.2"}
WORKERD = {"workerd": "1.20261117.1"}
BUNDLE_PARAMS = {"name": "Ada", "a": 1}
SOURCE = """import Ajv from 'ajv';
const ajv = new Ajv();
const validate = ajv.compile({
  type: 'object',
  properties: { name: { type: 'string', minLength: 1 }, a: { type: 'integer' } },
  required: ['name'],
});
export default function handler(event) { const ok = validate(event); return { ok, errors: validate.errors || [] }; }
"""
INSTALL_SECONDS_MAX = 300

# One worker, one isolate. The date allows code from strings while a script is loaded, which is when the validator makes its own.
WORKERD_CONFIG = """using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")]
);
const worker :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "worker.js"),
    (name = "handler.js", %s = embed "handler.js")
  ],
  compatibilityDate = "2026-11-01"
);
"""
WORKER = """import handler from 'handler.js';
export default {
  async fetch(request) { return Response.json(await handler((await request.json()).Params)); },
};
"""
# A handler that answers requests, which runs as it is on both.
FETCH = b"""export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    const { a, b } = await request.json();
    return Response.json({ sum: a + b, pathname }, { headers: { 'cache-control': 'no-store' } });
  },
};
"""
FETCH_WORKER = "export { default } from 'handler.js';\n"


def tools():
    """The folder with the packages, kept from run to run; none without npm."""
    folder = os.path.join(TARGET, "bench-npm")
    if not installed(folder, PACKAGES):
        return None
    installed(folder, WORKERD)
    return folder


def installed(folder, packages):
    if all(version_of(folder, name) == version for name, version in packages.items()):
        return True
    named = [f"{name}@{version}" for name, version in packages.items()]
    if not shutil.which("npm"):
        print(f"npm is missing: measuring without {', '.join(packages)}", file=sys.stderr)
        return False
    os.makedirs(folder, exist_ok=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", folder, *named]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS_MAX, check=False)
        fault = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    except subprocess.TimeoutExpired:
        done, fault = None, [f"no answer in {INSTALL_SECONDS_MAX} s"]
    if done is None or done.returncode:
        print(f"npm cannot install {' '.join(named)}: measuring without; {''.join(fault)}", file=sys.stderr)
        return False
    return True


def version_of(folder, name):
    try:
        with open(os.path.join(folder, "node_modules", name, "package.json")) as file:
            return json.load(file)["version"]
    except FileNotFoundError:
        return None


def bundle(folder):
    """The bundle, an ES module. It has the paths of its parts in comments, relative to the folder."""
    with open(os.path.join(folder, "bundle.src.js"), "w") as file:
        file.write(SOURCE)
    command = [os.path.join("node_modules", ".bin", "esbuild"), "bundle.src.js", "--bundle", "--format=esm",
               "--platform=neutral", "--main-fields=module,main", "--log-level=warning"]
    return subprocess.run(command, stdout=subprocess.PIPE, cwd=folder, check=True).stdout


def workerd(folder, handler, kind, scratch, worker=WORKER):
    """A workerd that serves the handler, an `esModule` or a `commonJsModule`; none where it is not installed."""
    # Not the launcher in .bin: it may be a script, and what it starts outlives it.
    programs = glob.glob(os.path.join(folder, "node_modules", "@cloudflare", "workerd-*", "bin", "workerd"))
    if version_of(folder, "workerd") is None or not programs:
        return None
    os.mkdir(scratch)
    for name, text in (("config.capnp", WORKERD_CONFIG % kind), ("worker.js", worker), ("handler.js", handler.decode())):
        with open(os.path.join(scratch, name), "w") as file:
            file.write(text)
    return Workerd(programs[0], os.path.join(scratch, "config.capnp"))


class Workerd(Server):
    """Says where it listens on a descriptor of its own."""

    def __init__(self, program, config):
        read, write = os.pipe()
        command = [program, "serve", f"--control-fd={write}", config]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(write,))
        os.close(write)
        with os.fdopen(read) as control:
            line = control.readline()
        found = re.search(r'"port":(\d+)', line)
        if not found:
            raise SystemExit(f"workerd did not start: {line!r}")
        self.host, self.port = "127.0.0.1", int(found.group(1))
