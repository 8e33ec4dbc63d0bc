"""Check a walk on the provider's own sandbox: complete, nothing twice, resumable at every cursor.

Two more checks belong here, beside ``test_a_walk_goes_on_at_every_cursor``, once a load can say
which part of a walk is missing: a cursor that has expired, and one part that is refused.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from shared.connector import Cursor, Interruption, Page, Provider
from tests.conformance.calls import (
    SandboxCall,
    interrupted,
    not_written,
    read_page,
    records,
    through_json,
)
from tests.conformance.items import flaws
from tests.conformance.sandbox import SandboxClientApp
from tests.conformance.subject import DECLARED, Subject, Unwritten
from tests.conformance.suite.conftest import Ledger

LARGEST_CURSOR = 32_768
"""Bytes: a cursor is written to the database after every page."""
FEW = 3


def test_a_walk_comes_to_its_end(tried_walk: list[Page] | Unwritten) -> None:
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


def test_a_walk_gives_no_object_twice(subject: Subject, resource: str, pages: list[Page]) -> None:
    in_parts = Counter((page.part, record.id) for page in pages for record in page.records)
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


async def test_a_walk_goes_on_at_every_cursor(
    subject: Subject, resource: str, pages: list[Page], call: SandboxCall
) -> None:
    """Stop after each page, and go on with a new connector and the cursor as it was stored."""
    cursors: list[Cursor | None] = [None, *(page.cursor for page in pages[:-1])]
    for number, (cursor, page) in enumerate(zip(cursors, pages, strict=True)):
        kept = None if cursor is None else through_json(subject, resource, cursor)
        again = await read_page(subject, call, resource, kept, subject.new_connector())
        there, here = _ids(page), _ids(again)
        if here != there or (again.cursor is None) != (page.cursor is None):
            raise Unwritten(
                f"{subject.at('connector.py')}: a new connector that goes on with the cursor "
                f"before page {number + 1} of {resource} gives other objects ({_few(here)}) than "
                f"the first one ({_few(there)}). Read everything that a walk knows from `cursor`, "
                "and keep nothing on self or in the module."
            )


def test_cursors_are_small_json(subject: Subject, resource: str, pages: list[Page]) -> None:
    for page in pages:
        if page.cursor is not None:
            size = len(msgspec.json.encode(through_json(subject, resource, page.cursor)))
            if size > LARGEST_CURSOR:
                raise Unwritten(
                    f"{subject.at('walk.py')}: a cursor of {resource} has {size} bytes, at most "
                    f"{LARGEST_CURSOR} are good: it is written after every page. Keep ids and "
                    "places in it, not objects."
                )


def test_empty_pages_do_not_look_like_a_loop(
    subject: Subject, resource: str, pages: list[Page], provider: Provider
) -> None:
    empty, part = 0, ""
    for page in pages:
        before = empty if page.part == part else 0
        empty, part = 0 if page.records or page.rejected else before + 1, page.part
        if empty > provider.max_empty_pages:
            raise Unwritten(
                f"{subject.at('connector.py')}: {empty} pages of part {part!r} of {resource} in a "
                "row have no records, and the fetcher takes that for a loop. Name in Page.part "
                "what is read (a table, a stage), or raise PROVIDER.max_empty_pages."
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
            "or mend the sandbox."
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
            f"{subject.at('mapping.py')}: {len(strange)} {resource} have a parent_id that is no id "
            f"of {parent} (the first: {strange[0]!r}). Give the id that the item of the parent has."
        )


async def test_every_call_names_a_bucket_and_the_path_below_the_api(
    subject: Subject, resource: str, call: SandboxCall, provider: Provider, pages: list[Page]
) -> None:
    await _first_and_count(subject, resource, call, pages)
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


async def test_an_expected_count_is_the_count(
    subject: Subject, resource: str, call: SandboxCall, ledger: Ledger, pages: list[Page]
) -> None:
    told = await subject.connector().expected(call, resource)
    there = len(await ledger(resource))
    if told is not None and told != there:
        raise Unwritten(
            f"{subject.at('connector.py')}: expected() says {told!r} of {resource}, and there are "
            f"{there}. Return the provider's count, None when it has none."
        )


async def test_objects_are_read_again_by_id_and_what_is_gone_is_absent(
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
        page = await subject.connector().read(call, resource, tuple(ids))
    except NotImplementedError as error:
        raise Unwritten(not_written(subject, "read", error)) from None
    except Interruption as error:
        raise interrupted(subject, resource, error) from None
    if set(_ids(page)) != set(ids[1:]) or page.cursor is not None:
        raise Unwritten(
            f"{subject.at('connector.py')}: read() of {_few(ids)} in {resource}, of which the "
            f"first was deleted, gives {_few(_ids(page))} and the cursor {page.cursor!r}. Give the "
            "records that are there, and no cursor."
        )


async def _first_and_count(
    subject: Subject, resource: str, call: SandboxCall, pages: list[Page]
) -> None:
    """Make the calls of the beginning, of the middle, and of the count."""
    for cursor in (None, *(page.cursor for page in pages[:FEW] if page.cursor)):
        await read_page(subject, call, resource, cursor, subject.connector())
    await subject.connector().expected(call, resource)


def _ids(page: Page) -> list[str]:
    return [record.id for record in page.records]


def _few(ids: set[str] | list[str]) -> str:
    some = sorted(ids)[:FEW]
    return ", ".join(some) + (", …" if len(ids) > FEW else "") if some else "none"
