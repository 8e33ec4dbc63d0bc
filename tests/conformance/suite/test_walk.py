"""Check a walk on the provider's own sandbox: complete, nothing twice, resumable anywhere."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from shared.connector import (
    LONGEST_CURSOR,
    Completes,
    Connector,
    Interruption,
    Page,
    Provider,
    Span,
)
from tests.conformance.calls import (
    Read,
    SandboxCall,
    interrupted,
    not_written,
    read_page,
    reads_of,
    records,
    through_json,
)
from tests.conformance.items import flaws
from tests.conformance.sandbox import SandboxClientApp
from tests.conformance.subject import DECLARED, Subject, Unwritten
from tests.conformance.suite.conftest import Ledger

LONGEST_PART = 200
FEW = 3


def test_a_walk_comes_to_its_end(tried_walk: list[Read] | Unwritten) -> None:
    if isinstance(tried_walk, Unwritten):
        raise tried_walk


async def test_a_walk_finds_every_readable_object_and_no_other(
    subject: Subject, resource: str, pages: list[Page], ledger: Ledger
) -> None:
    wanted = await ledger(resource)
    found = {record.id for record in records(pages)}
    if not wanted:
        raise Unwritten(
            f"{subject.sandbox_at}: the default account has no {resource}. Generate some: a walk "
            "over nothing proves nothing."
        )
    if found != wanted:
        raise Unwritten(
            f"{subject.at('connector.py')}: the walk over {resource} missed {len(wanted - found)} "
            f"of {len(wanted)} objects ({_few(wanted - found)}) and found {len(found - wanted)} "
            f"that the sandbox does not list as live ({_few(found - wanted)}). Follow the "
            "provider's cursor to its last page, and give each record the id that the ledger has."
        )


def test_a_walk_gives_no_object_twice(
    subject: Subject, resource: str, reads: list[Read], pages: list[Page]
) -> None:
    in_parts = Counter((place.part.id, one.id) for place, page in reads for one in page.records)
    twice = [id_ for (_, id_), times in in_parts.items() if times > 1]
    if twice:
        raise Unwritten(
            f"{subject.at('connector.py')}: the walk over {resource} gives {len(twice)} objects "
            f"twice in one part ({_few(twice)}). Begin each page where the one before it ended."
        )
    counted = Counter(record.id for record in records(pages))
    again = [id_ for id_, times in counted.items() if times > 1]
    if again and resource not in subject.declared().parts_overlap:
        raise Unwritten(
            f"{subject.at('connector.py')}: the walk over {resource} gives {len(again)} objects in "
            f"more than one part ({_few(again)}). Give each once, or say in {subject.at(DECLARED)} "
            "why not: "
            f'{{"parts_overlap": {{"{resource}": "…"}}}}.'
        )


def test_what_is_cut_off_can_be_completed(
    subject: Subject, resource: str, pages: list[Page], connector: Connector
) -> None:
    cut = [record.id for record in records(pages) if record.truncated]
    if cut and not isinstance(connector, Completes):
        raise Unwritten(
            f"{subject.at('connector.py')}: the walk over {resource} gives {len(cut)} truncated "
            f"records ({_few(cut)}), and the connector cannot complete them. Give it the methods "
            "of Completes, piece() and completed()."
        )


async def test_a_walk_goes_on_at_every_cursor(
    subject: Subject, resource: str, reads: list[Read], call: SandboxCall
) -> None:
    """Stop after each page, and continue with a new connector at the stored place."""
    for number, (place, page) in enumerate(reads):
        again = await read_page(subject, call, resource, place, subject.new_connector())
        there, here = _ids(page), _ids(again)
        if here != there or (again.cursor is None) != (page.cursor is None):
            raise Unwritten(
                f"{subject.at('connector.py')}: a new connector that resumes at the cursor "
                f"before page {number + 1} of {resource} gives other objects ({_few(here)}) than "
                f"the first one ({_few(there)}). Read everything that a walk knows from `place`, "
                "and keep nothing on self or in the module."
            )


def test_cursors_are_small_json(subject: Subject, resource: str, pages: list[Page]) -> None:
    for page in pages:
        if page.cursor is not None:
            size = len(msgspec.json.encode(through_json(subject, resource, page.cursor)))
            if size > LONGEST_CURSOR:
                raise Unwritten(
                    f"{subject.at('connector.py')}: a cursor of {resource} has {size} bytes, and "
                    f"{LONGEST_CURSOR} are allowed: it is written after every page. Keep the "
                    "provider's own cursor in it, and name the other places to read as parts."
                )


def test_parts_have_short_ids_and_names(
    subject: Subject, resource: str, reads: list[Read], connector: Connector
) -> None:
    named = [*connector.parts(resource), *(part for read in reads for part in read.page.parts)]
    for part in named:
        if (
            not 0 < len(part.id) <= LONGEST_PART
            or "\0" in part.id + part.name
            or not part.name.strip()
        ):
            raise Unwritten(
                f"{subject.at('connector.py')}: a part of {resource} has the id {part.id!r} and "
                f"the name {part.name!r}. Give it an id of at most {LONGEST_PART} characters, and "
                "a name that a person would use: it is shown when the part cannot be read."
            )


def test_items_have_names_links_times_and_parents(
    subject: Subject, resource: str, pages: list[Page]
) -> None:
    found = [text for record in records(pages) for text in flaws(record)]
    if found:
        raise Unwritten(f"{subject.at('mapping.py')}: {resource}: {found[0]} ({len(found)} in all)")
    rejected = [one for page in pages for one in page.rejected]
    if rejected:
        raise Unwritten(
            f"{subject.at('mapping.py')}: {len(rejected)} objects of the sandbox are set aside in "
            f"{resource}; the first one at {rejected[0].pointer}: {rejected[0].reason}. Read them, "
            "or fix the sandbox."
        )


async def test_a_link_leads_to_the_sandbox_s_own_page(
    subject: Subject, resource: str, pages: list[Page], app: SandboxClientApp
) -> None:
    """Keep people off the real site: the object is not there."""
    linked = [(record.id, record.url) for record in records(pages) if record.url is not None]
    for id_, url in linked[:FEW]:
        status = await app.shown(url)
        if status != 200:
            raise Unwritten(
                f"{subject.sandbox_at}: {resource} {id_} has the link {url}, and the sandbox "
                f"answers its path with status {status}. Serve a page there: `record_page` of "
                "deploy.sandbox.world makes one."
            )


async def test_a_parent_is_an_object_of_the_parent_resource(
    subject: Subject, resource: str, pages: list[Page], provider: Provider, ledger: Ledger
) -> None:
    found = provider.resource(resource)
    parent = found.original.parent_resource if found else None
    if parent is None:
        return
    there = await ledger(parent)
    strange = [one.parent_id for one in records(pages) if one.parent_id not in there]
    if strange:
        raise Unwritten(
            f"{subject.at('mapping.py')}: {len(strange)} {resource} have a parent_id that is not "
            f"an id of {parent} (the first: {strange[0]!r}). Give the id of the parent's item."
        )


async def test_every_call_names_a_bucket_and_the_path_below_the_api(
    subject: Subject, resource: str, call: SandboxCall, provider: Provider, reads: list[Read]
) -> None:
    await _first_and_count(subject, resource, call, reads)
    known = [bucket.name for bucket in provider.buckets]
    for request in call.sent:
        asked = f"{request.method} {request.path}"
        named = [name.partition(":")[0] for name in request.buckets]
        if not named or set(named) - set(known):
            raise Unwritten(
                f"{subject.at('connector.py')}: `{asked}` names the buckets "
                f"{', '.join(named) or 'none'}. Name those that it counts against, of "
                f"PROVIDER.buckets: {', '.join(known)}."
            )
        if not request.path.startswith("/"):
            raise Unwritten(f"{subject.at('connector.py')}: begin the path of `{asked}` with /.")


async def test_a_count_counts_what_is_there_and_its_ids_can_be_listed(
    subject: Subject, resource: str, call: SandboxCall, ledger: Ledger, pages: list[Page]
) -> None:
    told = await subject.connector().count(call, resource)
    there = await ledger(resource)
    if told is None:
        return
    if told != len(there):
        raise Unwritten(
            f"{subject.at('connector.py')}: count() says {told!r} for {resource}, but there are "
            f"{len(there)}. Return the provider's count, or None when it has none."
        )
    every = sorted(there, key=int)
    half = Span(every[len(every) // 2])
    upper = list(filter(half.has, every))
    counted = await subject.connector().count(call, resource, half)
    listed = list(await subject.connector().list_ids(call, resource, half))
    if counted != len(upper) or not listed or listed != upper[: len(listed)]:
        raise Unwritten(
            f"{subject.at('connector.py')}: of the {len(upper)} {resource} with ids from "
            f"{half.first} on, count() says {counted!r} and list_ids() gives {_few(listed)}. Count "
            "and list the ids of the span, in numeric order."
        )


async def test_objects_are_read_by_id_and_what_is_gone_is_named(
    subject: Subject,
    resource: str,
    app: SandboxClientApp,
    pages: list[Page],
) -> None:
    account = await app.new_account(f"{resource} again", seed=11)
    mine = await app.connect(account)
    call = SandboxCall(subject, app.http, app.runtime.api_url, mine.access_token)
    ids = sorted(await app.readable(account, resource))[:FEW]
    await app.control(
        "POST", f"/accounts/{account}/mutate", {"resource": resource, "archive": ids[:1]}
    )
    try:
        lookup = await subject.connector().read(call, resource, tuple(ids))
    except NotImplementedError as error:
        raise Unwritten(not_written(subject, "read", error)) from None
    except Interruption as error:
        raise interrupted(subject, resource, error) from None
    there = [record.id for record in lookup.records]
    named = [*(one.id for one in lookup.gone), *lookup.absent]
    if set(there) != set(ids[1:]) or named != ids[:1]:
        raise Unwritten(
            f"{subject.at('connector.py')}: read() of {_few(ids)} in {resource}, of which the "
            f"first was deleted, gives {_few(there)} and names {_few(named)} as gone or absent. "
            "Give the records that are there; name in gone what the provider says is gone, and in "
            "absent what it refuses by its id."
        )


async def test_what_has_not_changed_has_the_same_content_at_every_read(
    subject: Subject, resource: str, call: SandboxCall, pages: list[Page]
) -> None:
    """A link with a new signature in each answer would make every sync send every item again."""
    try:
        again = [read.page for read in await reads_of(subject, call, resource)]
    except Interruption as error:
        raise interrupted(subject, resource, error) from None
    before, after = _contents(pages), _contents(again)
    changed = {id_ for id_, content in before.items() if after.get(id_) != content}
    if changed:
        raise Unwritten(
            f"{subject.at('mapping.py')}: {_few(changed)} in {resource} have other content when "
            "they are read again, though nothing has changed. Leave what differs with each answer "
            "out of Record.content."
        )


def _contents(pages: list[Page]) -> dict[str, dict[str, Any]]:
    found = {}
    for page in pages:
        for record in page.records:
            found[record.id] = record.raw if record.content is None else record.content
    return found


async def _first_and_count(
    subject: Subject, resource: str, call: SandboxCall, reads: list[Read]
) -> None:
    """Repeat the first calls of the walk, and ask for the count."""
    for place, _ in reads[: FEW + 1]:
        await read_page(subject, call, resource, place, subject.connector())
    await subject.connector().count(call, resource)


def _ids(page: Page) -> list[str]:
    return [record.id for record in page.records]


def _few(ids: set[str] | list[str]) -> str:
    if not ids:
        return "none"
    some = ", ".join(sorted(ids)[:FEW])
    return f"{some}, …" if len(ids) > FEW else some
