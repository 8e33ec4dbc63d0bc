"""Measure what we promise about faults on a running stack: one function per figure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from shared.contracts.topics import ITEMS
from tests.chaos import log
from tests.chaos.hostile import ANSWERS, hostile
from tests.chaos.limits import forget_peak, peak_mib
from tests.chaos.load import Load, begin, pace
from tests.chaos.lying import Liars
from tests.chaos.stack import Stack
from tests.support.side_by_side import PAIRS, loaded_side_by_side
from tests.support.waiting import eventually

LYING_SEEDS = 200
UNSHARED = "notion"
LONG = {"companies": 2000, "contacts": 2000, "deals": 2000}
LARGE = {"companies": 30_000, "contacts": 40_000, "deals": 30_000}


@dataclass(frozen=True)
class Figure:
    """Hold a figure: ``measured`` in words, ``reached`` against ``aim``."""

    id: str
    aim: str
    measured: str
    reached: bool
    stack: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def resumed_after(load: Load, killed: float) -> float:
    """Return seconds from ``killed`` (epoch) until every resource under way has read on."""
    lanes: dict[str, list[float]] = {}
    for row in load.page_requests():
        lanes.setdefault(row["path"], []).append(datetime.fromisoformat(row["at"]).timestamp())
    after: list[float] = []
    for at in lanes.values():
        later = [moment for moment in at if moment >= killed]
        if later and at[0] < killed:
            after.append(later[0])
    return max(after) - killed


def again_per_lane(load: Load) -> int:
    """Return how many pages were served more than once, for the resource with the most of them."""
    extra: dict[str, int] = {}
    for (path, _), times in load.pages().items():
        extra[path] = extra.get(path, 0) + times - 1
    return max(extra.values())


def settled(stack: Stack, *loads: Load) -> list[str]:
    """Wait for the loads; return what is wrong with their items."""
    wrong = []
    for load in loads:
        load.done(within=300)
        with stack.topic() as topic:
            report = load.verdict(topic)
        wrong += [] if report.clean else [str(report)]
    return wrong


def r3(stack: Stack, *, rounds: int = 5) -> Figure:
    """Kill -9 the only worker in the middle of a load; another one has just started."""
    waits, again, wrong = [], [], []
    for _ in range(rounds):
        stack.heal()
        stack["fetcher2"].stop()
        pace(stack, latency_ms=700)
        load = begin(stack, LONG)
        load.under_way(share=0.1)
        stack["fetcher2"].start()
        killed = stack.clock.now()
        stack["fetcher1"].kill()
        pace(stack)
        wrong += settled(stack, load)
        waits.append(resumed_after(load, killed))
        again.append(again_per_lane(load))
    measured = (
        f"{max(again)} page of a job again at most, going on {max(waits):.1f} s after the "
        f"kill at most ({rounds} kills)"
    )
    reached = max(again) <= 1 and max(waits) <= 15 and not wrong
    return Figure(
        "R3", "≤ 1 page again per running job, running again ≤ 15 s", measured, reached, stack.kind
    )


def r4(stack: Stack, *, down_s: float = 60.0) -> Figure:
    """Kill -9 the broker in the middle of a load; read and request while it is away."""
    stack.heal()
    known = begin(stack)
    known.done()
    pace(stack, latency_ms=100)
    load = begin(stack, LONG)
    load.under_way(share=0.1)
    stack["broker"].kill()
    until, slowest, reads = time.monotonic() + down_s, 0.0, 0
    known.again()
    while time.monotonic() < until:
        asked = time.monotonic()
        assert len(list(stack.client.items(known.id, "deals"))) == known.counts["deals"]
        slowest, reads = max(slowest, time.monotonic() - asked), reads + 1
        time.sleep(0.1)
    stack["broker"].start()
    back, come = time.monotonic(), load.items()
    eventually(lambda: load.items() > come or load.state()["state"] == "done", every=0.05)
    recovery = time.monotonic() - back
    wrong = settled(stack, known, load)
    measured = (
        f"broker away {down_s:.0f} s: {reads} reads answered, the slowest in "
        f"{slowest * 1000:.0f} ms, a requested sync "
        f"accepted; syncing again {recovery:.1f} s after it answered; {wrong or 'nothing lost'}"
    )
    aim = "broker down 60 s: reads and jobs accepted, recovery ≤ 15 s, nothing lost"
    return Figure("R4", aim, measured, recovery <= 15 and not wrong, stack.kind)


def r5(stack: Stack, *, rounds: int = 10) -> Figure:
    """Send SIGTERM to the only worker in the middle of a load."""
    took, again, wrong = [], 0, []
    stack.heal()
    stack["fetcher2"].stop()
    for _ in range(rounds):
        pace(stack, latency_ms=100)
        load = begin(stack, LONG)
        load.under_way(share=0.1)
        took.append(stack["fetcher1"].stop())
        stack["fetcher1"].start()
        wrong += settled(stack, load)
        again += load.refetched()
    measured = (
        f"{rounds} stops in the middle of syncs: {max(took):.1f} s at most, {again} pages again"
    )
    reached = max(took) <= 10 and not again and not wrong
    return Figure("R5", "exit ≤ 10 s, nothing redelivered", measured, reached, stack.kind)


def r6(stack: Stack, *, rounds: int = 20) -> Figure:
    """Put a message that is not JSON before a good one of the same partition."""
    stack.heal()
    load = begin(stack)
    load.done()
    bootstrap, took = stack.client.bootstrap, []
    mine = [one for one in log.read(bootstrap, ITEMS) if load.id.encode() in (one.key or b"")]
    for number, one in enumerate(mine[:rounds]):
        headers = dict(one.headers) | {
            "version": str(int(dict(one.headers)["version"]) + 1).encode()
        }
        value = (one.value or b"").replace(b'"name":"', b'"name":"%d ' % number, 1)
        poison = replace(one, key=b"nobody/contacts/1", value=b"{")
        sent, path = time.monotonic(), f"/v1/items/{(one.key or b'').decode()}"
        log.append(bootstrap, [poison, replace(one, value=value, headers=tuple(headers.items()))])
        wanted = f"{number} "
        eventually(
            lambda path=path, wanted=wanted: stack.client.api("GET", path)["name"].startswith(
                wanted
            ),
            every=0.01,
        )
        took.append(time.monotonic() - sent)
    measured = (
        f"{rounds} poisoned messages: the next one of the partition readable after "
        f"{max(took):.2f} s at most"
    )
    return Figure("R6", "what follows is read ≤ 2 s later", measured, max(took) <= 2, stack.kind)


def r8(stack: Stack, *, changes: int = 20, every_s: float = 3.0) -> Figure:
    """Let workers join and leave by SIGTERM for a minute, against half of that time without it."""
    stack.heal()
    pace(stack, latency_ms=600)
    calm = _calm_rate(stack, changes * every_s / 2)
    started, loads = time.monotonic(), _begun(stack)
    for number in range(changes):
        until = time.monotonic() + every_s
        name = stack.spare[number % len(stack.spare)]
        if stack[name].alive:
            stack[name].stop()
        else:
            stack[name].start()
        time.sleep(max(0.0, until - time.monotonic()))
    rate = _served(loads) / (time.monotonic() - started)
    pace(stack)
    wrong = settled(stack, *loads)
    share = sum(load.refetched() for load in loads) / sum(len(load.pages()) for load in loads)
    measured = (
        f"{share:.1%} of pages twice, {rate / calm:.0%} of the calm throughput, "
        f"{wrong or 'nothing lost'}"
    )
    aim = (
        f"{changes} joins and leaves in a minute: nothing lost, ≤ 5 % of pages twice, ≥ 50 % "
        "of the throughput"
    )
    return Figure(
        "R8", aim, measured, share <= 0.05 and rate >= 0.5 * calm and not wrong, stack.kind
    )


def _calm_rate(stack: Stack, seconds: float) -> float:
    """Return the pages per second of undisturbed loads."""
    started, loads = time.monotonic(), _begun(stack)
    time.sleep(seconds)
    rate = _served(loads) / (time.monotonic() - started)
    for load in loads:
        stack.client.api("DELETE", f"/v1/connections/{load.id}")
    return rate


def _served(loads: Sequence[Load]) -> int:
    return sum(sum(load.pages().values()) for load in loads)


def _begun(stack: Stack) -> list[Load]:
    return [begin(stack, dict.fromkeys(LONG, 12_000)) for _ in range(2)]


def r9(stack: Stack, kinds: Sequence[str] = tuple(ANSWERS)) -> Figure:
    """Serve hostile pages, each to a worker that has just started."""
    stack.heal()
    stack["fetcher2"].stop()
    told, reached = [], True
    for kind in kinds:
        with hostile(stack.port("sandbox"), ANSWERS[kind], where="/contacts?") as url:
            stack["fetcher1"].restart({"TRIBUTARY_HUBSPOT_API_URL": f"{url}/hubspot"})
            forget_peak(stack["fetcher1"])
            started = time.monotonic()
            load = begin(stack, {"contacts": 100})
            ended = load.outlasted()
            took, peak = time.monotonic() - started, peak_mib(stack["fetcher1"])
        failed = next(row for row in ended["resources"] if row["resource"] == "contacts")
        code = (failed["error"] or {}).get("code", "no error")
        told.append(f"{kind}: {code} after {took:.1f} s, {peak:.0f} MiB")
        reached &= failed["state"] == "failed" and took <= 60 and peak <= 256
    return Figure(
        "R9", "each a typed error ≤ 60 s, worker ≤ 256 MiB", "; ".join(told), reached, stack.kind
    )


def r11(stack: Stack, *, seeds: int = LYING_SEEDS) -> Figure:
    """Let lists lie during some syncs of many accounts, and compare after an honest one."""
    stack.heal()
    with stack.topic() as topic:
        outcomes = list(Liars(stack, topic).run(range(seeds)))
    wrong = [str(one) for one in outcomes if one.wrong or one.states[-1] != "done"]
    during = [state for one in outcomes for state in one.states[:-1]]
    lied = ", ".join(f"{during.count(state)} {state}" for state in sorted(set(during)))
    measured = (
        f"{len(outcomes) - len(wrong)} of {seeds} accounts equal after an honest sync; while lists "
        f"lied: {lied}; {'; '.join(wrong[:3]) or 'nothing that exists was deleted'}"
    )
    aim = (
        "lists short or empty with status 200: nothing living deleted, no sync done that is not "
        "whole where there is a count, equal to the ledger after one honest sync"
    )
    return Figure("R11", aim, measured, not wrong, stack.kind)


def r12(stack: Stack, *, away_s: float = 1_800.0, step_s: float = 60.0) -> Figure:
    """Let the provider be away for half an hour of the moved clock in the middle of a load.

    Nothing of it answers anything but 503: pages, counts, properties and tokens.
    """
    stack.heal()
    pace(stack)
    load = begin(stack, LARGE)
    load.under_way(share=0.4)
    stack.client.control("PUT", "hubspot/faults", json=[{"status": 503}])
    eventually(lambda: load.state()["state"] == "waiting", every=0.05)
    held, left = load.items(), stack.clock.now() + away_s
    while stack.clock.now() < left:
        stack.clock.move(seconds=step_s)
    assert load.state()["state"] == "waiting", load.state()
    asked = sum(row["status"] == 503 for row in load.requests())
    stack.client.control("PUT", "hubspot/faults", json=[])
    back = stack.clock.now()
    while load.state()["state"] == "waiting":
        stack.clock.move(seconds=step_s)
        eventually(lambda: load.state()["state"] != "waiting" or not _is_due(load, stack))
    resumed = stack.clock.now() - back
    wrong, again = settled(stack, load), again_per_lane(load)
    total = sum(LARGE.values())
    measured = (
        f"away for {away_s / 60:.0f} min after {held:,} of {total:,} records, refusing {asked} "
        f"calls; reading again {resumed / 60:.0f} min after it was back, by itself; "
        f"at most {again} pages of a resource read again, {wrong or 'nothing lost'}"
    )
    aim = (
        "the provider away for 30 min in the middle of 100,000 records: done without a person, "
        "≤ 1 page again per resource"
    )
    return Figure("R12", aim, measured, again <= 1 and not wrong, stack.kind)


def _is_due(load: Load, stack: Stack) -> bool:
    """Return True if something that waits is about to be tried."""
    until = [row["waiting_until"] for row in load.state()["resources"] if row["waiting_until"]]
    return any(datetime.fromisoformat(one).timestamp() <= stack.clock.now() for one in until)


def q1(stack: Stack) -> Figure:
    """Load two connections that share a limit at the same time, for each kind of limit.

    Without Redis there is one fetcher: several would each count for themselves.
    """
    stack.heal()
    if stack.kind == "local":
        stack["fetcher2"].stop()
    told, reached = [], True
    for name, make in PAIRS.items():
        pair = make(stack.client)
        stack.client.control("PUT", f"{pair.provider}/limits", json={"off": False})
        outcome = loaded_side_by_side(stack.client, pair)
        refused = len(outcome.refused)
        told.append(
            f"{name}: {outcome.part:.0%} and {1 - outcome.part:.0%}, {refused} of "
            f"{len(outcome.asked)} calls refused"
        )
        # Nobody has published a limit of Notion's workspaces: nothing there is to be shared.
        shared = 0.4 <= outcome.part <= 0.6 or pair.provider == UNSHARED
        reached &= shared and not refused
    aim = "two loads on one limit: each reads 40 to 60 %, no call refused"
    return Figure("Q1", aim, "; ".join(told), reached, stack.kind)
