"""Write ``docs/reliability.md`` from measurements and from tests named after a fault."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.support.processes import ROOT

RESULTS = ROOT / ".cache" / "chaos"
PAGE = ROOT / "docs" / "reliability.md"
TEST = re.compile(r"def (test_(?:[A-Z]\d\d?_)*?(F\d\d)_\w+)\(")
STACKS = {"local": "built-in broker, SQLite", "real": "Apache Kafka, PostgreSQL, Redis"}

FAULTS = {
    "F01": "kill -9 of a worker between any two steps",
    "F02": "kill -9 of the gateway after it wrote a sync down, before it was published",
    "F03": "kill -9 of an outbox relay after sending, before marking",
    "F04": "kill -9 of auth at each step of a refresh",
    "F05": "kill -9 of the projector in the middle of a batch",
    "F06": "the broker killed, frozen, cut off or silent",
    "F07": "the broker cannot write",
    "F08": "a topic is missing or has too few partitions",
    "F09": "Redis away, restarted, flushed, out of memory",
    "F10": "PostgreSQL away, restarted, its sessions ended, its connections used up",
    "F11": "a lock held on hot rows",
    "F12": "deadlocks",
    "F13": "every message several times",
    "F14": "old messages after new ones, shuffled",
    "F15": "workers join and leave",
    "F16": "a handler slower than the poll interval",
    "F17": "a paused worker that wakes up",
    "F18": "429 and 529 with Retry-After of all kinds",
    "F19": "5xx and HTML errors",
    "F20": "a network that hangs",
    "F21": "answers that are cut off",
    "F22": "no name, no TLS",
    "F23": "a refresh whose answer is lost",
    "F24": "many refreshes at once, over processes",
    "F25": "a grant that was withdrawn",
    "F26": "a token refused in the middle of a sync",
    "F27": "a missing scope",
    "F28": "an expired cursor",
    "F29": "data that changes while it is paged",
    "F30": "more than 10,000 objects of a type",
    "F31": "our disk is full",
    "F32": "a clock that jumps on one process",
    "F33": "SIGTERM in the middle of a page, twice, during a wait",
    "F34": "old and new versions side by side",
    "F35": "event streams that break; slow readers",
    "F36": "a backlog at start",
    "F37": "disconnected while it syncs",
    "F38": "dead letters cannot be kept",
}
DAMAGE = (
    "Each store of an installation on one machine (built-in broker, SQLite) was damaged alone,",
    "between a stop and the next start: `python -m tests.chaos --damage 50`. *Whole* means equal",
    "to the provider, in the API and on the topic. Seconds are those until readiness was green,",
    "or until the refusal; the longest one where there were many.",
    "SQLite keeps no checksums of rows: a bit that flips inside a stored value may not be seen.",
)
DAMAGE_HEAD = ("| store | damage | said | then | seconds |", "|---|---|---|---|---|")
LEFT_OUT = {
    "F16": (
        "The offset of a `RunJob` is committed at the claim, and the run continues beside the "
        "consumer. No handler is slow, and there is nothing that a test could set to make one slow."
    ),
    "F32": (
        "It takes a preloaded clock library that is no part of the system. The movable clock of "
        "the tests shows expiry and leases by one clock."
    ),
    "F34": "There is one version so far. The migrations' tests cover upgrades of the schema.",
}


def save(name: str, result: Mapping[str, Any]) -> None:
    """Keep the measurements of a run, replacing those of an earlier run of that name."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1))


def render() -> None:
    """Write the page from all results there are."""
    runs = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    PAGE.write_text(
        "\n".join(
            [
                "# What faults do",
                "",
                *_intro(),
                *_figures(runs),
                *_seeds(runs),
                *_damage(runs),
                *_faults(),
            ]
        )
    )


def _intro() -> list[str]:
    return [
        "`make chaos` (`python -m tests.chaos`) writes this page. Every process runs on its own,",
        "behind TCP proxies that disturb it. A checker compares the provider's ledger, the items",
        "topic read from offset 0 (the last record of each key, as compaction keeps it) and the",
        "read model, and counts lost, doubled, stale and phantom items.",
        "",
        "To run one scenario: `make test TESTS='tests/chaos -k F17'`, with `-m variation` its",
        "other cases; on real servers: `make stack-test`. To repeat one seed:",
        '`python -m tests.chaos --seeds 1 --first 17 --figures ""`. The seed decides everything',
        "that is random, except how the processes interleave.",
        "",
    ]


def _figures(runs: list[dict[str, Any]]) -> list[str]:
    lines = ["## Figures", "", "| | stack | to reach | measured | |", "|---|---|---|---|---|"]
    rows = [(figure, run) for run in runs for figure in run.get("figures", [])]
    for figure, run in sorted(rows, key=lambda row: (row[0]["id"], row[0]["stack"])):
        reached = "reached" if figure["reached"] else "**not reached**"
        measured = f"{figure['measured']} ({run['date']})"
        lines.append(
            f"| {figure['id']} | {STACKS[figure['stack']]} | {figure['aim']} | {measured} | "
            f"{reached} |"
        )
    machines = sorted({run["machine"] for run in runs})
    return [*lines, "", "Machine: " + "; ".join(machines) + ".", ""]


def _seeds(runs: list[dict[str, Any]]) -> list[str]:
    lines = ["## Seeds", ""]
    for run in runs:
        if run.get("seeds"):
            first, last = min(run["seeds"]), max(run["seeds"])
            lines.append(
                f"- {STACKS[run['stack']]}: {len(run['seeds'])} seeds, {first} to {last}. "
                f"{run['chaos']}"
            )
    return [*lines, ""]


def _damage(runs: list[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for run in runs:
        if not run.get("damage"):
            continue
        lines += ["## Damaged stores", "", *DAMAGE, f"Measured {run['date']}.", "", *DAMAGE_HEAD]
        for one in run["damage"]:
            cells = (one["store"], one["kind"], one["said"] or "nothing", one["then"])
            lines.append(f"| {' | '.join(cells)} | {one['seconds']:.1f} |")
        lines.append("")
    return lines


def _faults() -> list[str]:
    found = tests()
    lines = ["## Faults", "", "| | fault | tests |", "|---|---|---|"]
    for id_, fault in FAULTS.items():
        shown = "<br>".join(f"`{name}` ({place})" for name, place in found.get(id_, []))
        lines.append(f"| {id_} | {fault} | {shown or 'left out, see below'} |")
    lines += ["", "Left out:", ""]
    return [*lines, *(f"- {id_}: {why}" for id_, why in LEFT_OUT.items() if id_ not in found), ""]


def tests() -> dict[str, list[tuple[str, str]]]:
    """Return fault → the tests named after it, with their files."""
    found: dict[str, list[tuple[str, str]]] = {}
    for folder in ("tests", "services", "shared", "deploy"):
        for path in sorted((ROOT / folder).rglob("test_*.py")):
            for name, id_ in TEST.findall(path.read_text("utf-8")):
                found.setdefault(id_, []).append((name, path.relative_to(ROOT).as_posix()))
    return found
