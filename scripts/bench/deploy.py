"""The measurements of deploy.sh: needs a release binary; the nodes listen on loopback and are stopped by their ids."""

import argparse
import statistics
import sys
import tempfile
import time

import javascript
from bench import SCRIPT, deploy, distinct, nodes, print_figures, print_machine, print_ratio_to_against


def timed(server, name, code):
    """Milliseconds of a deploy: until its reply, and of processor time in the node and its children."""
    processor, began = server.processor_seconds(), time.perf_counter()
    deploy(server, name, code, Runtime="javascript")
    wall = time.perf_counter() - began
    return wall * 1e3, (server.processor_seconds() - processor) * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deploys", type=int, default=20, help="deploys of each kind")
    parser.add_argument("--against", metavar="FOLDER", help="a folder with another build of serverledge, measured in turn with this one")
    options = parser.parse_args()
    print_machine()
    kinds = {"script": SCRIPT}
    tools = javascript.tools()
    if tools:
        kinds["bundle"] = javascript.bundle(tools)
    with tempfile.TemporaryDirectory() as scratch, nodes(scratch, options.against) as servers:
        times = {(build, kind): [] for build in servers for kind in kinds}
        first = {build: timed(server, "first", distinct(SCRIPT, 0)) for build, server in servers.items()}
        for number in range(1, options.deploys + 1):
            for kind, source in kinds.items():
                # Now the one first, now the other.
                for build, server in list(servers.items())[:: -1 if number % 2 else 1]:
                    times[build, kind].append(timed(server, f"{kind}{number}", distinct(source, number)))
            print(f"deploy {number} of {options.deploys}", file=sys.stderr)
    report(servers, kinds, times, first)


def report(builds, kinds, times, first):
    figures = {build: {"deploy-first-script-ms": first[build][0]} for build in builds}
    for (build, kind), samples in times.items():
        walls, processor = zip(*samples)
        figures[build][f"deploy-{kind}-ms"] = statistics.median(walls)
        figures[build][f"deploy-{kind}-ms-worst"] = max(walls)
        # Not the median: a tick of the clock may be as long as a deploy.
        figures[build][f"deploy-{kind}-processor-ms"] = statistics.mean(processor)
    print_figures(figures)
    for kind in kinds if "against" in builds else ():
        pairs = zip(times["ours", kind], times["against", kind])
        print_ratio_to_against(f"deploy-{kind}", [mine[0] / other[0] for mine, other in pairs])
        name = f"deploy-{kind}-processor-ms"
        print(f"ratio deploy-{kind}-processor/against {figures['ours'][name] / figures['against'][name]:.3f}")


if __name__ == "__main__":
    main()
