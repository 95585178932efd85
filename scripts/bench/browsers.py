"""Browsers for the measurements beside it: without a window, each with a profile of its own, ended by process ids."""

import contextlib
import glob
import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time

from bench import TICKS_PER_SECOND

# Seconds that a task of a page may take, and a browser's start.
PATIENCE_SECONDS = 120
END_SECONDS_MAX = 15
FIREFOX_PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
}
PACKAGES = {"chromium": "chromium", "firefox": "firefox-esr", "webkit": "webkit2gtk-driver xvfb"}


def installed():
    """The commands of the browsers that there are, by their names. A URL follows, and PROFILE stands for a folder."""
    found = {}
    if shutil.which("chromium"):
        command = ["chromium", "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--disable-extensions", "--disable-background-networking", "--disable-component-update",
                   "--user-data-dir=PROFILE"]
        # The sandbox of Chromium refuses to run as root.
        found["chromium"] = command + (["--no-sandbox"] if os.geteuid() == 0 else [])
    if shutil.which("firefox-esr"):
        found["firefox"] = ["firefox-esr", "--headless", "--no-remote", "--profile", "PROFILE"]
    programs = glob.glob("/usr/lib/*/webkit2gtk-4.*/MiniBrowser")
    if programs and shutil.which("Xvfb"):
        found["webkit"] = [sorted(programs)[-1]]
    return found


class Display:
    """An X server without a screen, for browsers that need one."""

    def __init__(self):
        read, write = os.pipe()
        command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1024x768x24", "-nolisten", "tcp"]
        self.process = subprocess.Popen(command, pass_fds=(write,), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as told:
            self.name = f":{told.readline().strip()}"
        if self.name == ":":
            raise SystemExit("Xvfb did not start")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=END_SECONDS_MAX)


class Page:
    """The open page of a browser, which asks here for its tasks."""

    def __init__(self):
        self.tasks, self.outcomes = queue.Queue(), queue.Queue()
        page = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                page.outcomes.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                task = json.dumps(page.tasks.get()).encode()
                with contextlib.suppress(OSError):
                    self.send_response(200)
                    self.send_header("Access-Control-Allow-Origin", "*")
                    self.send_header("Content-Length", str(len(task)))
                    self.end_headers()
                    self.wfile.write(task)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """A browser that ends leaves its connections."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def outcome(self):
        try:
            outcome = self.outcomes.get(timeout=PATIENCE_SECONDS)
        except queue.Empty:
            raise SystemExit(f"the page said nothing for {PATIENCE_SECONDS} s") from None
        if "fault" in outcome:
            raise SystemExit(f"the page failed: {outcome['fault']}")
        return outcome

    def do(self, kind, **members):
        """The value of a task."""
        self.tasks.put({"kind": kind, **members})
        return self.outcome()["value"]

    def go(self, url):
        """Another page, once it asks for tasks."""
        self.tasks.put({"go": url})
        self.outcome()

    def forget(self):
        """Lets go of a page whose browser has ended: its last request waits for a task."""
        self.tasks.put({})
        self.tasks = queue.Queue()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Browser:
    """A running browser that shows this URL; what it writes about itself is in its profile."""

    def __init__(self, name, command, profile, url, display):
        os.makedirs(profile, exist_ok=True)
        if name == "firefox":
            with open(os.path.join(profile, "user.js"), "w") as file:
                for key, value in FIREFOX_PREFERENCES.items():
                    file.write(f"user_pref({json.dumps(key)}, {json.dumps(value)});\n")
        folders = {"HOME": "", "XDG_CACHE_HOME": "cache", "XDG_CONFIG_HOME": "config", "XDG_DATA_HOME": "data"}
        environment = os.environ | {variable: os.path.join(profile, folder) for variable, folder in folders.items()}
        environment |= {"DISPLAY": display.name} if display else {}
        command = [part.replace("PROFILE", profile) for part in command] + [url]
        self.profile = profile
        with open(os.path.join(profile, "log"), "ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)

    def processes(self):
        """The processes of the browser with their ticks of processor time: its session, and all descendants."""
        parents, sessions, ticks = {}, {}, {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat") as stat:
                # The first of them is the third field of proc_pid_stat(5).
                fields = stat.read().rpartition(") ")[2].split()
                pid = int(entry)
                parents[pid], sessions[pid] = int(fields[1]), int(fields[3])
                ticks[pid] = int(fields[11]) + int(fields[12])
        own = {pid for pid, session in sessions.items() if pid == self.process.pid or session == self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in own} - own:
            own |= more
        return {pid: ticks[pid] for pid in own if pid in ticks}

    def processor_share(self, seconds):
        """Its share of one core during this time, which passes."""
        before, began = self.processes(), time.monotonic()
        time.sleep(seconds)
        after, took = self.processes(), time.monotonic() - began
        return sum(now - before.get(pid, 0) for pid, now in after.items()) / TICKS_PER_SECOND / took

    def stop(self):
        """Asks it to end, so that it writes its cache; then ends what is left of it."""
        known = self.processes()
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=END_SECONDS_MAX)
        for pid in filter(self.owns, known):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(timeout=END_SECONDS_MAX)

    def owns(self, pid):
        """Whether a process that was the browser's still is: ids are used again."""
        with contextlib.suppress(OSError):
            if os.getsid(pid) == self.process.pid:
                return True
            with open(f"/proc/{pid}/environ", "rb") as environment:
                return self.profile.encode() in environment.read()
        return False
