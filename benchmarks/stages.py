"""Turn sampled stacks into stages that an item's CPU time goes to."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import msgspec

from benchmarks.sampling import Stack

NOT_THE_LOAD = frozenset({"start and stop", "answers of the API"})
REST = "event loop and sockets"
# The innermost frame that matches a pattern decides. Code that is used everywhere (SQLAlchemy,
# asyncio) has no pattern.
STAGES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (stage, re.compile(pattern))
    for stage, pattern in (
        ("decode", r"shared/http/body\.py"),
        ("normalise", r"shared/providers/"),
        ("emit: digest, item, headers", r"services/fetcher/emit\.py|shared/contracts/items\.py"),
        ("quota", r"shared/quota\.py|/fakeredis/|/redis/"),
        ("provider: HTTP", r"shared/http/|/httpcore/|services/fetcher/call\.py"),
        ("fetcher: SQL of known items", r"services/fetcher/known_items\.py"),
        (
            "fetcher: SQL of jobs",
            r"services/fetcher/(jobs/|(store|finish|worker|consumers|reap|plan)\.py)",
        ),
        ("outbox", r"shared/outbox\.py"),
        ("produce", r"/aiokafka/(producer|partitioner)|shared/kafka/produce\.py"),
        (
            "consume: offsets",
            r"/aiokafka/consumer/group_coordinator\.py|shared/kafka/consume\.py _commit",
        ),
        ("consume", r"/aiokafka/|/faststream/|shared/kafka/"),
        ("broker", r"deploy/localkafka/"),
        (
            "answers of the API",
            (
                r"services/gateway/(console|http|security|legacy)/"
                r"|services/gateway/\w+/(routes|views)\.py"
            ),
        ),
        ("answers of the API", r"services/gateway/items/queries\.py (page|get)"),
        (
            "read model: SQL of items",
            r"services/gateway/(items/queries|project)\.py (write|project_items)",
        ),
        ("read model: rows", r"services/gateway/project\.py"),
        (
            "read model: positions, progress",
            r"services/gateway/(store|consumers|syncs|context|connections)",
        ),
        ("answers of the API", r"/uvicorn/protocols/|/litestar/|services/auth/"),
        (
            "start and stop",
            r"uvicorn/lifespan|deploy/local/(stack|serve|__main__)\.py (_run|running|Served)",
        ),
    )
)


def summary(path: Path, *, per_item_us: float) -> str:
    """Return one line per stage; all samples of the sync together make ``per_item_us``."""
    stacks: list[tuple[Stack, int]] = msgspec.json.decode(
        path.read_bytes(), type=list[tuple[Stack, int]]
    )
    counts: Counter[str] = Counter()
    for stack, count in stacks:
        counts[stage_of(stack)] += count
    load = {stage: count for stage, count in counts.most_common() if stage not in NOT_THE_LOAD}
    total = sum(load.values())
    lines = [
        f"{stage:36}{count / total:6.1%}{per_item_us * count / total:8.1f} µs"
        for stage, count in load.items()
    ]
    return "\n".join((f"Of {total} samples of the sync:", *lines))


def stage_of(stack: Stack) -> str:
    for file, function in stack:
        if file.endswith(("asyncio/runners.py", "shared/process.py")):
            break  # from here on all stacks are alike
        frame = f"{file} {function}"
        for stage, pattern in STAGES:
            if pattern.search(frame):
                return stage
    return REST
