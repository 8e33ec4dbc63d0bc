"""Check the items of recorded walks: id, name, parent, link and times."""

from __future__ import annotations

import msgspec

from shared.connector import Connector, Interruption, Page, Provider, Record
from tests.conformance.calls import RecordedCall, records, walk
from tests.conformance.items import flaws
from tests.conformance.recorded import Case, RecordedItem
from tests.conformance.subject import ITEMS, Subject, Unwritten


def test_its_walks_are_recorded(subject: Subject) -> None:
    subject.cases()


def test_every_resource_has_a_recorded_walk(
    subject: Subject, provider: Provider, walks_recorded: list[Case]
) -> None:
    recorded = {case.resource for case in walks_recorded if case.items}
    lacking = [one.slug for one in provider.resources if one.slug not in recorded]
    if lacking:
        raise Unwritten(
            f"{subject.at(ITEMS)} has no walk with items over {', '.join(lacking)}. Add one: "
            '{"case": "…", "resource": "…", "exchanges": [{"request": "GET /…", "body": {…}}], '
            '"items": [{"id": "…", "name": "…", "url": "…"}]}.'
        )


async def test_a_recorded_walk_gives_its_items(
    subject: Subject, case: Case, connector: Connector
) -> None:
    call = RecordedCall(subject, case)
    pages = await _walked(subject, case, call)
    found = {record.id: _item(record) for record in records(pages)}
    for item in case.items:
        if found.pop(item.id, None) != item:
            raise Unwritten(
                f"{subject.at('mapping.py')}: in “{case.case}” {item.id} has to be {item}, but is "
                f"{_named(pages, item.id)}."
            )
    if found:
        raise Unwritten(
            f"{subject.at(ITEMS)}: “{case.case}” also gives {', '.join(found)}. Add to its items "
            "what these have to be."
        )


async def test_a_recorded_walk_sets_aside_what_is_malformed(
    subject: Subject, case: Case, connector: Connector
) -> None:
    pages = await _walked(subject, case, RecordedCall(subject, case))
    pointers = [rejected.pointer for page in pages for rejected in page.rejected]
    if pointers != case.rejected:
        raise Unwritten(
            f"{subject.at('mapping.py')}: “{case.case}” has to set aside {case.rejected}, but sets "
            f"aside {pointers}. Put an object that cannot be read into Page.rejected, with the "
            "JSON pointer to it in the page."
        )


async def test_recorded_items_have_names_links_and_times(
    subject: Subject, case: Case, connector: Connector
) -> None:
    pages = await _walked(subject, case, RecordedCall(subject, case))
    found = [text for record in records(pages) for text in flaws(record)]
    if found:
        raise Unwritten("\n".join(f"{subject.at('mapping.py')}: {text}" for text in found))


async def test_raw_is_the_object_and_json(
    subject: Subject, case: Case, connector: Connector
) -> None:
    pages = await _walked(subject, case, RecordedCall(subject, case))
    for record in records(pages):
        if msgspec.json.decode(msgspec.json.encode(record.raw)) != record.raw or not record.raw:
            raise Unwritten(
                f"{subject.at('mapping.py')}: raw of {record.id} is not the object as JSON. Give "
                "the whole object as the provider sent it."
            )


def test_items_with_a_parent_resource_have_parents(
    subject: Subject, case: Case, provider: Provider
) -> None:
    resource = provider.resource(case.resource)
    if resource is None:
        raise Unwritten(
            f"{subject.at(ITEMS)}: “{case.case}” names the resource {case.resource!r}, which does "
            "not exist."
        )
    orphans = [item.id for item in case.items if item.parent_id is None]
    if resource.original.parent_resource is not None and orphans:
        raise Unwritten(
            f"{subject.at(ITEMS)}: {', '.join(orphans)} of {case.resource} have no parent_id, but "
            f"the parents of {case.resource} are {resource.original.parent_resource}."
        )


async def _walked(subject: Subject, case: Case, call: RecordedCall) -> list[Page]:
    try:
        return await walk(subject, call, case.resource)
    except Interruption as error:
        raise Unwritten(
            f"{subject.at(ITEMS)}: “{case.case}” was interrupted by {type(error).__name__} "
            f"({error.code}): {error.reason}"
        ) from None


def _item(record: Record) -> RecordedItem:
    return RecordedItem(
        id=record.id,
        name=record.name,
        parent_id=record.parent_id,
        url=record.url,
        created_at=record.created_at,
        modified_at=record.modified_at,
    )


def _named(pages: list[Page], id_: str) -> str:
    same = [str(_item(record)) for record in records(pages) if record.id == id_]
    others = ", ".join(record.id for record in records(pages)) or "none"
    return same[-1] if same else f"not there (there are: {others})"
