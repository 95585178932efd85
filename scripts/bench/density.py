"""The measurements of density.sh: needs a release binary; the nodes listen on loopback and are stopped by their ids."""

import argparse
import sys
import tempfile
import time

from bench import SCRIPT, SCRIPT_PARAMS, deploy, distinct, machine_code, nodes, post, print_figures, print_machine

# Seconds after the last call, for what is given back after it.
SETTLING_SECONDS = 1


def machine_code_kib(server):
    return sum(machine_code(server.data).values()) / 1024


def deployed(server, numbers):
    for number in numbers:
        deploy(server, f"f{number}", distinct(SCRIPT, number), Runtime="javascript")


def called(server, numbers, calls):
    for _ in range(calls):
        for number in numbers:
            post(server, f"/invoke/f{number}", {"Params": SCRIPT_PARAMS})


def measured(server, options):
    """One function before the others: with it comes what all of them share."""
    figures = {"idle-rss-mib": server.memory_kib()["Rss"] / 1024}
    deployed(server, [0])
    called(server, [0], options.calls)
    time.sleep(SETTLING_SECONDS)
    one, one_code = server.memory_kib(), machine_code_kib(server)
    figures["one-function-rss-mib"] = one["Rss"] / 1024
    figures["one-function-machine-code-kib"] = one_code
    others = range(1, options.functions + 1)
    deployed(server, others)
    server.wait_until_quiet()
    each = (server.memory_kib()["Rss"] - one["Rss"]) / options.functions
    figures["deployed-rss-kib-per-function"] = each
    called(server, others, options.calls)
    time.sleep(SETTLING_SECONDS)
    all_called = server.memory_kib()
    figures["called-rss-mib"] = all_called["Rss"] / 1024
    for name, kib in all_called.items():
        figures[f"called-{name.lower().replace('_', '-')}-kib-per-function"] = (kib - one[name]) / options.functions
    figures["machine-code-kib-per-function"] = (machine_code_kib(server) - one_code) / options.functions
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--functions", type=int, default=200)
    parser.add_argument("--calls", type=int, default=1, help="calls of each function")
    parser.add_argument("--against", metavar="FOLDER", help="a folder with another build of serverledge, measured in the same run")
    options = parser.parse_args()
    print_machine()
    # All stay loaded: what is dropped and loaded again takes no memory, but time.
    settings = {"wasm.loaded_max": options.functions + 10, "wasm.loaded_bytes_max": f"{options.functions * 8 + 64} MiB"}
    with tempfile.TemporaryDirectory() as scratch, nodes(scratch, options.against, settings) as servers:
        figures = {}
        for name, server in servers.items():
            figures[name] = measured(server, options)
            print(f"{name}: {options.functions} functions deployed and called", file=sys.stderr)
    print_figures(figures)
    for name in figures["ours"] if options.against else ():
        if name.endswith("-per-function") and figures["against"][name] > 0:
            print(f"ratio {name}/against {figures['ours'][name] / figures['against'][name]:.3f}")


if __name__ == "__main__":
    main()
