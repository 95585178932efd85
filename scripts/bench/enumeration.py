#!/usr/bin/env python3
"""What clocks tell about accounts, and how fast a credential dies.

Starts nodes of its own on free ports of loopback, a mail server and etcd, with data in a temporary folder; stops them by their ids.

  enumeration: log-in with a wrong password, sign-up and the request for a new password, for addresses with an account and without,
      in random order; and a write of the prober's own that follows at once, which a node that still works on the first might delay.
      For each: the medians, the difference, and the share of pairs in which the known address took longer (the area under the
      ROC curve of a clock that guesses: 0.5 tells nothing, 1 tells all). With the embedded registry, then with etcd.
  revocation: two nodes on one etcd; what was revoked at the first is asked for at both, again and again, until it is refused.

Prints lines `value NAME VALUE UNIT`, and says at the end what lies beyond its bounds. Needs built programs (a node with etcd) and etcd.
"""

import argparse
import contextlib
import email
import email.policy
import http.client
import itertools
import json
import math
import os
import queue
import random
import re
import socketserver
import statistics
import sys
import tempfile
import threading
import time

import offload
from offload import Etcd, Node, running, value

PASSWORD, NEW_PASSWORD = "correct horse battery staple", "quite another battery"
# A difference that is really none lies beyond so many of its standard deviations once in 370 times.
DEVIATIONS = 3
REVOKED_SECONDS_MAX = 1.0
PATIENCE_SECONDS = 30
PAUSE_SECONDS = 0.001
# The number of times that a refusal must be seen: it must stay a refusal.
REFUSALS = 20


class Mail(socketserver.ThreadingTCPServer):
    """A mail server: keeps the links in what it takes, by address."""

    allow_reuse_address = daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Letter)
        self.links = {}
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def server_close(self):
        self.shutdown()
        super().server_close()

    def of(self, address):
        with self.lock:
            return self.links.setdefault(address, queue.Queue())

    def link(self, address):
        """The secret in the next link that is sent there."""
        return self.of(address).get(timeout=PATIENCE_SECONDS)


class Letter(socketserver.StreamRequestHandler):
    """RFC 5321, as much as a sender of mail needs."""

    def say(self, text):
        self.wfile.write(text + b"\r\n")

    def handle(self):
        to = ""
        self.say(b"220 mail")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"QUIT":
                return self.say(b"221 bye")
            if word == b"RCPT":
                to = re.search(rb"<(.*)>", line).group(1).decode()
            if word == b"DATA":
                self.say(b"354 go on")
                lines = itertools.takewhile(lambda line: line != b".\r\n", self.rfile)
                self.keep(to, b"".join(lines))
            self.say(b"250 taken")

    def keep(self, to, letter):
        text = email.message_from_bytes(letter, policy=email.policy.default).get_body(("plain",)).get_content()
        link = re.search(r"#(\S+)", text)
        if link:
            self.server.of(to).put(link.group(1))


class Asker:
    """One connection, kept; each request seems to come from another address, so that no limit on tries is met."""

    addresses = itertools.count(1)

    def __init__(self, node, credential=None):
        self.node, self.credential = node, credential or {}
        self.connection = http.client.HTTPConnection(node.host, node.port, timeout=60)

    def with_(self, credential):
        """Another one, who shows this."""
        return Asker(self.node, credential)

    def ask(self, method, path, body=None):
        """Status, body, headers, and seconds."""
        number = next(self.addresses)
        headers = {"X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", **self.credential}
        data = json.dumps(body) if body is not None else None
        began = time.perf_counter()
        self.connection.request(method, path, data, headers)
        response = self.connection.getresponse()
        text = response.read()
        return response.status, text, response.headers, time.perf_counter() - began

    def done(self, method, path, body=None, status=None):
        """The same; anything but success, or this status, ends the measurement."""
        answer = self.ask(method, path, body)
        if answer[0] != status and not (status is None and 200 <= answer[0] < 300):
            raise SystemExit(f"{method} {path}: {answer[0]} {answer[1][:300]!r}")
        return answer


def settings(mail, **more):
    return {
        "auth.enabled": "true", "accounts.signup": "open", "accounts.base_url": "https://faas.example.org",
        "smtp.host": "127.0.0.1", "smtp.port": mail.server_address[1], "smtp.tls": "none", "smtp.from": "node@example.org",
        "api.trusted_proxies": "127.0.0.1/32", "log.level": "error", **more,
    }


def sign_up(asker, mail, address):
    asker.done("POST", "/account/sign-up", {"email": address, "password": PASSWORD})
    asker.done("POST", "/account/confirm", {"secret": mail.link(address)})


def log_in(asker, address, password=PASSWORD):
    """The credential of a new session."""
    _, _, headers, _ = asker.done("POST", "/account/log-in", {"email": address, "password": password})
    return {"Cookie": headers["Set-Cookie"].split(";")[0]}


def new_token(asker):
    """A token's id, and itself as a credential."""
    made = json.loads(asker.done("POST", "/account/tokens", {"name": "t", "scopes": ["invoke", "admin"]})[1])
    return made["info"]["id"], {"Authorization": f"Bearer {made['token']}"}


# === enumeration ===


def auc(known, unknown):
    """The share of pairs in which the known one is larger; equal ones count half."""
    return sum((a > b) + (a == b) / 2 for a in known for b in unknown) / (len(known) * len(unknown))


def tolerance(known, unknown):
    """How far from one half this share may lie where there is no difference (Mann and Whitney's variance)."""
    pairs = len(known) * len(unknown)
    return DEVIATIONS * math.sqrt((len(known) + len(unknown) + 1) / (12 * pairs))


def compare(name, known, unknown):
    """Whether a clock cannot tell them apart."""
    middles = [statistics.median(one) * 1000 for one in (known, unknown)]
    share, bound = auc(known, unknown), tolerance(known, unknown)
    value(f"{name}-known", middles[0], "ms")
    value(f"{name}-unknown", middles[1], "ms")
    value(f"{name}-difference", middles[0] - middles[1], "ms")
    value(f"{name}-auc", share, f"(0.5 +- {bound:.3f})")
    return abs(share - 0.5) <= bound


def interleaved(accounts, rounds, begin, asker, follow, rng):
    """Seconds of `begin` and of what follows it, for known and unknown addresses. Both are other ones each time."""
    first, second = ({True: [], False: []} for _ in range(2))
    turns = [(address, True) for address in accounts[:rounds]]
    turns += [(f"nobody{rng.getrandbits(64):x}@example.org", False) for _ in range(rounds)]
    rng.shuffle(turns)
    for number, (address, is_known) in enumerate(turns):
        path, body, status = begin(address)
        first[is_known].append(asker.done("POST", path, body, status)[3])
        second[is_known].append(follow(number))
        # The node's remaining work for this one is over when the next begins.
        time.sleep(0.05)
    return first, second


REQUESTS = {
    "log-in": lambda address: ("/account/log-in", {"email": address, "password": "not the password"}, 403),
    "sign-up": lambda address: ("/account/sign-up", {"email": address, "password": PASSWORD}, 202),
    "reset": lambda address: ("/account/request-reset", {"email": address}, 202),
}


def measure_embedded(stack, scratch, options):
    mail = stack.enter_context(Mail())
    return measure_enumeration(stack, mail, Node(os.path.join(scratch, "one"), settings(mail)), options)


def measure_etcd(stack, scratch, options):
    mail = stack.enter_context(Mail())
    etcd = stack.enter_context(running(Etcd(os.path.join(scratch, "etcd"))))
    shared = settings(mail, **{"registry.url": f"etcd://127.0.0.1:{etcd.port}"})
    return measure_enumeration(stack, mail, Node(os.path.join(scratch, "one"), shared), options)


def measure_enumeration(stack, mail, node, options):
    stack.enter_context(running(node))
    asker, rng = Asker(node), random.Random(options.seed)
    accounts = [f"somebody{number}@example.org" for number in range(options.rounds)]
    for address in [*accounts, "prober@example.org"]:
        sign_up(asker, mail, address)
    prober = asker.with_(log_in(asker, "prober@example.org"))
    prober.done("POST", "/apps", {"name": "probe"})

    def follow(number):
        return prober.done("PATCH", "/apps/probe", {"hands_out_nested": bool(number % 2)})[3]

    faults = []
    for name, begin in REQUESTS.items():
        first, second = interleaved(accounts, options.rounds, begin, asker, follow, rng)
        for label, taken in ((name, first), (f"after-{name}", second)):
            if not compare(label, taken[True], taken[False]):
                faults.append(f"{label} tells known addresses from unknown ones")
    return faults


# === revocation ===


class Watcher(threading.Thread):
    """Asks with a credential, again and again, until it is refused."""

    def __init__(self, node, credential):
        super().__init__(daemon=True)
        self.asker, self.refused_at, self.fault = Asker(node, credential), None, None
        self.accepted = threading.Event()

    def run(self):
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until and self.refused_at is None:
            status = self.asker.ask("GET", "/account")[0]
            # One that was made elsewhere is known when the watch has brought it.
            if status == 200:
                self.accepted.set()
            elif status == 401 and self.accepted.is_set():
                self.refused_at = time.perf_counter()
            time.sleep(PAUSE_SECONDS)
        if self.refused_at is None:
            self.fault = "was not refused"
        elif any(self.asker.ask("GET", "/account")[0] != 401 for _ in range(REFUSALS)):
            self.fault = "was taken again after it had been refused"


def revoke(nodes, credentials, act):
    """Seconds from the sending of `act` to the first refusal, by node; of several credentials the last one."""
    watchers = [[Watcher(node, credential) for credential in credentials] for node in nodes]
    for watcher in itertools.chain(*watchers):
        watcher.start()
    for watcher in itertools.chain(*watchers):
        if not watcher.accepted.wait(PATIENCE_SECONDS):
            raise SystemExit("a new credential is not known")
    began = time.perf_counter()
    act()
    for watcher in itertools.chain(*watchers):
        watcher.join()
        if watcher.fault:
            raise SystemExit(f"a revoked credential {watcher.fault}")
    return [max(watcher.refused_at for watcher in row) - began for row in watchers]


def ways(here, mail, address):
    """What ends credentials, in an order in which one account can go through all of it."""
    session = log_in(here, address)
    own = here.with_(session)
    token_id, token = new_token(own)
    yield "token", [token], lambda: own.done("DELETE", f"/account/tokens/{token_id}")
    other = log_in(here, address)
    yield "log-out-everywhere", [session, other], lambda: own.done("POST", "/account/log-out-everywhere")
    session = log_in(here, address)
    own = here.with_(session)
    _, token = new_token(own)
    here.done("POST", "/account/request-reset", {"email": address})
    secret = mail.link(address)
    yield "reset", [session, token], lambda: here.done("POST", "/account/reset", {"secret": secret, "password": NEW_PASSWORD})
    session = log_in(here, address, NEW_PASSWORD)
    own = here.with_(session)
    _, token = new_token(own)
    yield "deletion", [session, token], lambda: own.done("DELETE", "/account", {"password": NEW_PASSWORD})


def measure_revocation(stack, scratch, options):
    mail = stack.enter_context(Mail())
    etcd = stack.enter_context(running(Etcd(os.path.join(scratch, "etcd"))))
    shared = settings(mail, **{"registry.url": f"etcd://127.0.0.1:{etcd.port}", "cluster.key": offload.KEY})
    nodes = [stack.enter_context(running(Node(os.path.join(scratch, name), shared))) for name in ("a", "b")]
    here, taken = Asker(nodes[0]), {}
    for number in range(options.times):
        address = f"somebody{number}@example.org"
        sign_up(here, mail, address)
        for way, credentials, act in ways(here, mail, address):
            taken.setdefault(way, []).append(revoke(nodes, credentials, act))
    faults = []
    for way, rows in taken.items():
        for name, seconds in zip(("here", "there"), zip(*rows)):
            value(f"revoked-{way}-{name}-median", statistics.median(seconds) * 1000, "ms")
            value(f"revoked-{way}-{name}-max", max(seconds) * 1000, "ms")
            if max(seconds) > REVOKED_SECONDS_MAX:
                faults.append(f"{way} took longer than {REVOKED_SECONDS_MAX} s ({name})")
    return faults


PARTS = {"enumeration": measure_embedded, "enumeration-etcd": measure_etcd, "revocation": measure_revocation}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.dirname(offload.BIN), help="folder with the programs (%(default)s)")
    parser.add_argument("--rounds", type=int, default=120, help="requests of each kind (%(default)s)")
    parser.add_argument("--times", type=int, default=20, help="revocations of each kind (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=list(PARTS))
    options = parser.parse_args()
    offload.BIN = os.path.join(os.path.abspath(options.bin), "serverledge")
    faults = []
    for part in [options.only] if options.only else PARTS:
        print(f"== {part} ==", file=sys.stderr)
        with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
            faults += PARTS[part](stack, scratch, options)
    for fault in faults:
        print(f"FAULT {fault}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
