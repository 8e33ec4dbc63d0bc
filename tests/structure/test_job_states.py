"""A job's state is written in one module, so that its table of transitions is the truth."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.structure.tree import name, product_files, text

WRITER = "services/fetcher/jobs/transitions.py"
OTHER_WRITES = {
    # Which ids are about to be sent, and how many progress events there were.
    "services/fetcher/jobs/queries.py",
    # Where items were in a log that is lost.
    "services/fetcher/jobs/positions.py",
}
"""Writers of jobs' rows that never write a state."""
READS_OUT = {"JobProgress"}
"""Has a state of its own: the public one."""
STATEMENTS = {"insert", "update", "delete", "upsert"}


def fetcher_files() -> Iterator[Path]:
    return (path for path in product_files(".py") if name(path).startswith("services/fetcher/"))


def called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def writes_state(source: str) -> Iterator[int]:
    """Yield the lines that assign an attribute or pass a keyword or a column of that name."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(attr="state", ctx=ast.Store()):
                yield node.lineno
            case ast.Call(keywords=keywords) if called(node) not in READS_OUT:
                yield from (node.lineno for keyword in keywords if keyword.arg == "state")
            case ast.Dict(keys=keys):
                yield from (
                    node.lineno
                    for key in keys
                    if isinstance(key, ast.Constant) and key.value == "state"
                )
            case _:
                pass


def writes_jobs(source: str) -> bool:
    """Return whether a statement changes rows of the table of jobs."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    targets = [call.args[0] for call in calls if called(call) in STATEMENTS and call.args]
    return any(isinstance(target, ast.Name) and target.id == "jobs" for target in targets)


def test_only_the_transitions_write_a_jobs_state() -> None:
    found = {name(path) for path in fetcher_files() if any(writes_state(text(path)))}
    assert found == {WRITER}


def test_what_else_writes_rows_of_jobs_is_known() -> None:
    assert {name(path) for path in fetcher_files() if writes_jobs(text(path))} == {
        WRITER,
        *OTHER_WRITES,
    }


def test_every_way_to_write_a_state_is_found() -> None:
    lines = (
        'job.state = "over"',
        'job.state, job.error = "over", None',
        'update(jobs).values(state="over")',
        'update(jobs).values({"state": "over"})',
        'replace(job, state="over")',
    )
    for line in lines:
        assert list(writes_state(line)) == [1], line
    for line in (
        'if job.state == "over": pass',
        "JobProgress(state=public_state(job))",
        "jobs.c.state.in_(OPEN)",
    ):
        assert list(writes_state(line)) == [], line
    assert writes_jobs("update(jobs).where(x)")
    assert not writes_jobs("select(jobs)")
