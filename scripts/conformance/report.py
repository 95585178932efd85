"""The document docs/conformance.md, made from the rows of a run."""

import datetime
import textwrap

import guests
import testsuite

HEAD = """# Conformance

`scripts/conformance.sh --write` made this page; do not edit it. The guests are in `tests/conformance/`, each with its source, the
script that builds it, and the calls with their results. They show which modules of common toolchains run on a node as they
are. The page says what was found on {date} with {build} build of `serverledge`{settings}.

The times are of one run. The machine had other work, so they show an order of magnitude and are no benchmark:
{machine}. *Deploy* is the time from the request to its reply, with compiling. *p50* is the middle one of {calls} calls
over one connection. *Size* is what is uploaded.

| | works | with a remark | refused | fails | not built |
|---|---|---|---|---|---|
{counts}
"""

OUTCOMES = (guests.WORKS, guests.REMARK, guests.REFUSED, guests.FAILS, guests.NOT_BUILT)

KINDS = {
    "toolchain": ("Toolchains", "Functions of our own, one for each toolchain. Most read JSON, compute and answer JSON."),
    "program": ("Programs", "Published programs, built from Rust crates as they are. They get arguments and the body of a request "
                            "([guest-abi.md](guest-abi.md#programs-as-they-are))."),
    "feature": ("Proposals", "Small modules in text form, one for each proposal of WebAssembly."),
}


def document(run, rows, tests):
    counts = [f"| {KINDS[kind][0]} | " + " | ".join(str(sum(row["outcome"] == each for row in rows if row["kind"] == kind))
                                                    for each in OUTCOMES) + " |"
              for kind in KINDS if any(row["kind"] == kind for row in rows)]
    settings = f" and the settings {', '.join(f'`{each}`' for each in run['settings'])}" if run["settings"] else ""
    head = HEAD.format(date=datetime.date.today().isoformat(), build=run["build"], settings=settings, machine=run["machine"],
                       calls=guests.CALLS, counts="\n".join(counts))
    parts = [wrapped(head)]
    parts += [table(kind, [row for row in rows if row["kind"] == kind]) for kind in KINDS if any(row["kind"] == kind for row in rows)]
    if tests:
        parts.append(suite(tests))
    return "\n".join(parts)


def wrapped(text):
    """Paragraphs in lines that fit; tables and headings as they are."""
    blocks = text.rstrip("\n").split("\n\n")
    return "\n\n".join(each if each.startswith(("|", "#", "```")) else textwrap.fill(" ".join(each.split()), 110,
                       break_long_words=False, break_on_hyphens=False) for each in blocks) + "\n"


def table(kind, rows):
    title, about = KINDS[kind]
    lines = [f"## {title}\n", wrapped(about), "| guest | toolchain | outcome | size | deploy | p50 |", "|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: row["title"].lower()):
        cells = [f"{cell(row['title'])} (`{row['name']}`)", cell(row["version"]) or "-", outcome(row), size(row.get("bytes")),
                 seconds(row.get("deploy_seconds")), milliseconds(row.get("p50_ms"))]
        lines.append(f"| {' | '.join(cells)} |")
    remarks = [f"- `{row['name']}`: {row['remark']}" for row in rows if row["remark"] and row["outcome"] == guests.REMARK]
    if remarks:
        lines += ["", "Remarks:", "", *(textwrap.fill(each, 110, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
                                        for each in remarks)]
    return "\n".join(lines) + "\n" + sentences(rows)


def sentences(rows):
    """The words of the node, or of a build, for every row that does not work."""
    told = [row for row in rows if row["sentence"]]
    if not told:
        return ""
    lines = ["", "What the node said to the others, or why there is no module:", "", "```text"]
    for row in told:
        lines.append(textwrap.fill(f"{row['name']}: {plain(row['sentence'])}", 110, subsequent_indent="    ", break_long_words=False,
                                   break_on_hyphens=False))
    return "\n".join([*lines, "```", ""])


def suite(rows):
    lines = ["## The WASI test suite\n", wrapped(
        "The prebuilt tests of the [WASI test suite](https://github.com/WebAssembly/wasi-testsuite). Each is deployed as a function "
        "with the arguments and the variables that it asks for, and is called once. Exit code, stdout, stderr and HTTP responses are "
        "compared with what the test wants.\n\nTests with a directory need one that they may write to and that has content, which no "
        "function has. They run in a program that starts a module without a node, with the same implementation of WASI. So do tests "
        "that want no variable but their own. Those that send requests may reach their own servers. A node grants no sockets: "
        "these tests show what a function gets instead."),
        "| tests | passes | fails | not granted | needs a runner |", "|---|---|---|---|---|"]
    for name in sorted({row["suite"] for row in rows}):
        of = [row["outcome"] for row in rows if row["suite"] == name]
        lines.append(f"| {name} | " + " | ".join(f"{of.count(each)}" for each in
                     (testsuite.PASSES, testsuite.FAILS, testsuite.NOT_GRANTED, testsuite.NEEDS_RUNNER)) + " |")
    groups = {}
    for row in rows:
        if row["outcome"] != testsuite.PASSES:
            why = row["reason"] or plain(row["sentence"])
            groups.setdefault(f"{row['outcome']}: {why}", []).append(row["key"])
    if groups:
        lines += ["", "Those that do not pass, by their outcome:", "", "```text"]
        for told, keys in groups.items():
            lines += [textwrap.fill(told, 110, break_long_words=False, break_on_hyphens=False), *(f"    {key}" for key in keys)]
        lines.append("```")
    return "\n".join(lines) + "\n"


def plain(text):
    """Without control characters, machines' folders and white space at the ends of lines."""
    for folder in guests.machine_folders():
        text = text.replace(folder, "…")
    return "".join(each if each.isprintable() else " " for each in text).replace("```", "'''").strip()


def cell(text):
    return plain(text).replace("|", "/")


def outcome(row):
    return f"**{row['outcome']}**" if row["outcome"] in (guests.WORKS, guests.REMARK) else row["outcome"]


def size(count):
    if count is None:
        return "-"
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def seconds(value):
    return "-" if value is None else f"{value:.1f} s" if value >= 1 else f"{value * 1e3:.0f} ms"


def milliseconds(value):
    return "-" if value is None else f"{value:.1f} ms"
