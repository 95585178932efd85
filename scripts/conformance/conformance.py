"""The conformance run: one node, every guest of tests/conformance, and the WASI test suite where it can be had."""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time

import guests
import report
import testsuite
from nodes import ConformanceNode, NodeEnded

DOCUMENT = os.path.join(guests.ROOT, "docs", "conformance.md")


def log(text):
    print(text, flush=True)


def parsed():
    parser = argparse.ArgumentParser(prog="conformance.sh", description=__doc__, epilog="Exit code 1: something is worse than "
                                     "expected; 2: the run itself could not be done.")
    parser.add_argument("--testsuite", metavar="DIR", default=os.environ.get("SERVERLEDGE_WASI_TESTSUITE"),
                        help="a checkout of the WASI test suite with its prebuilt tests (default: SERVERLEDGE_WASI_TESTSUITE)")
    parser.add_argument("--runner", metavar="CMD", help="a program that runs a module without a node, for the tests that need one")
    parser.add_argument("--runner-grants", metavar="NAME,...", default="", help="what the runner can grant: http, sockets")
    parser.add_argument("--only", metavar="NAME,...", help="only these guests; `testsuite` is the test suite, and a name with a "
                        "slash is one test of it")
    parser.add_argument("--quick", action="store_true", help="only the guests that build in seconds (`quick` in guest.json)")
    parser.add_argument("--require", metavar="N", type=int, default=0, help="fail if fewer guests than this work")
    parser.add_argument("--keep", metavar="DIR", help="where the modules are kept from run to run "
                        "(default: conformance/modules below SERVERLEDGE_TOOLS, else below .tools)")
    parser.add_argument("--bin", metavar="DIR", required=True, help="the folder of the program serverledge")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="a setting of the node")
    parser.add_argument("--write", action="store_true", help="write docs/conformance.md; for a whole run")
    parser.add_argument("--list", action="store_true", help="list the guests, and end")
    options = parser.parse_args()
    options.runner_grants = [each for each in options.runner_grants.split(",") if each]
    options.only = [each for each in (options.only or "").split(",") if each]
    if options.write and (options.only or options.quick):
        parser.error("--write makes the document of a whole run: leave --only and --quick out")
    if not all("=" in each for each in options.set):
        parser.error("--set wants KEY=VALUE")
    return options


def chosen(options):
    """The guests of this run."""
    keep = os.path.abspath(options.keep or os.path.join(guests.tools(), "modules"))
    all_names = guests.names()
    wanted = [each for each in options.only if each != "testsuite" and "/" not in each]
    if unknown := set(wanted) - set(all_names):
        raise SystemExit(f"no guest is called {', '.join(sorted(unknown))}; there are: {', '.join(all_names)}")
    found = [guests.Guest(name, keep) for name in (wanted if options.only else all_names)]
    return [guest for guest in found if guest.spec.get("quick") or not options.quick]


def judge_guests(node, chosen_guests):
    rows = []
    for guest in chosen_guests:
        row = guests.judged(node, guest, log)
        times = f"deploy {report.seconds(row.get('deploy_seconds'))}, p50 {report.milliseconds(row.get('p50_ms'))}"
        log(f"{row['name']}: {row['outcome']} ({report.size(row.get('bytes'))}, {times})"
            + (f": {row['sentence']}" if row["sentence"] else ""))
        rows.append(row)
    return rows


def judge_tests(node, options, facts):
    if not options.testsuite:
        log("no WASI test suite: --testsuite DIR, or SERVERLEDGE_WASI_TESTSUITE")
        return []
    keys = [each for each in options.only if "/" in each]
    if options.only and not keys and "testsuite" not in options.only:
        return []
    rows = []
    for case in testsuite.cases(options.testsuite):
        if keys and case.key not in keys:
            continue
        row = testsuite.judged(node, case, options, facts)
        row["reason"] = facts["fails"].get(case.key, "")
        if row["outcome"] != testsuite.PASSES:
            log(f"{row['key']}: {row['outcome']}: {row['sentence']}")
        rows.append(row)
    for outcome in sorted({row["outcome"] for row in rows}):
        log(f"test suite: {sum(row['outcome'] == outcome for row in rows)} of {len(rows)} {outcome}")
    return rows


def about(options):
    """The build and the machine, for the document."""
    binary = os.path.join(options.bin, "serverledge")
    if not os.access(binary, os.X_OK):
        raise SystemExit(f"{binary} is missing; build it, or name its folder with --bin")
    kind = os.path.basename(os.path.abspath(options.bin))
    with open("/proc/cpuinfo") as file:
        cpu = re.search(r"model name\s*:\s*(.+)", file.read())
    return {"build": f"a {kind}" if kind in ("debug", "release") else "a", "settings": options.set,
            "machine": f"{cpu.group(1) if cpu else platform.machine()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}"}


def main():
    options = parsed()
    if options.list:
        for name in guests.names():
            log(name)
        return 0
    run = about(options)
    began = time.monotonic()
    facts = testsuite.known()
    settings = tuple(each.split("=", 1) for each in options.set)
    with tempfile.TemporaryDirectory(prefix="conformance.") as scratch:
        node = ConformanceNode(scratch, os.path.abspath(options.bin), settings)
        try:
            rows = judge_guests(node, chosen(options))
            tests = judge_tests(node, options, facts)
        finally:
            node.stop()
    if options.write:
        text = report.document(run, rows, tests)
        with open(DOCUMENT, "w") as file:
            file.write(text)
        log(f"written: {os.path.relpath(DOCUMENT, guests.ROOT)}")
    return closing(options, rows, tests, facts, time.monotonic() - began)


def closing(options, rows, tests, facts, took):
    """Prints what is worse than expected; the exit code."""
    faults = [fault for fault in map(guests.worse, rows) if fault]
    faults += [fault for fault in (testsuite.worse(row, facts) for row in tests) if fault]
    for row in rows:
        if isinstance(row["expect"], dict) and row["outcome"] in (guests.WORKS, guests.REMARK):
            log(f"better than expected: {row['name']} works; say so in its guest.json")
    for row in tests:
        if row["key"] in facts["fails"] and row["outcome"] == testsuite.PASSES:
            log(f"better than expected: {row['key']} passes; take it out of testsuite.json")
    works = sum(row["outcome"] in (guests.WORKS, guests.REMARK) for row in rows)
    if works < options.require:
        faults.append(f"{works} guests work, and {options.require} should")
    passed = works + sum(row["outcome"] == testsuite.PASSES for row in tests)
    log(f"{works} of {len(rows)} guests work; {took:.0f} s")
    for fault in faults:
        log(f"WORSE: {fault}")
    log(f"{passed} passed, {len(faults)} failed")
    return 1 if faults else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (NodeEnded, OSError, subprocess.SubprocessError, json.JSONDecodeError) as error:
        print(f"conformance: {error}", file=sys.stderr)
        sys.exit(2)
