"""Do what a customer's program does, with the client from openapi-python-client alone.

walk.py URL PROVIDER USER: prints the link that a person has to open, waits until they have, waits
for the sync, pages through the items, reads one, and prints what it saw. One JSON object a line.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from tributary_client import Client
from tributary_client.api.connecting_accounts import get_connect, get_providers, post_connect
from tributary_client.api.connections import get_connection
from tributary_client.api.items import get_item, get_items
from tributary_client.api.syncs import get_sync
from tributary_client.models import (
    ConnectionView,
    ConnectStatus,
    ItemPage,
    ItemView,
    Providers,
    StartConnect,
    StartConnectProvider,
    StartedConnect,
    SyncedItem,
    SyncView,
)
from tributary_client.types import UNSET

T = TypeVar("T")
PATIENCE_S = 60.0
PAGE_SIZE = 7


def answered(kind: type[T], answer: object) -> T:
    """Return the answer as what was asked for; any error ends the program with its text."""
    if not isinstance(answer, kind):
        sys.exit(f"not a {kind.__name__}: {answer}")
    return answer


def until(ask: Callable[[], T], is_over: Callable[[T], bool]) -> T:
    end = time.monotonic() + PATIENCE_S
    while not is_over(found := ask()):
        if time.monotonic() > end:
            sys.exit(f"not in time: {found}")
        time.sleep(0.2)
    return found


def tell(**seen: object) -> None:
    print(json.dumps(seen), flush=True)


def connect(client: Client, provider: str, user: str) -> ConnectionView:
    known = answered(Providers, get_providers.sync(client=client))
    if provider not in {one.id for one in known.providers}:
        sys.exit(f"{provider} cannot be connected here")
    wanted = StartConnect(provider=StartConnectProvider(provider), org_id="strangers", user_id=user)
    flow = answered(StartedConnect, post_connect.sync(client=client, body=wanted))
    tell(open=flow.authorize_url)
    status = until(
        lambda: answered(ConnectStatus, get_connect.sync(flow.flow_id, client=client)),
        lambda found: found.status != "pending",
    )
    connection_id = answered(str, status.connection_id)
    return answered(ConnectionView, get_connection.sync(connection_id, client=client))


def page_through(client: Client, connection_id: str) -> tuple[Counter[str], list[SyncedItem]]:
    counts: Counter[str] = Counter()
    seen: list[SyncedItem] = []
    token: str | None = None
    while True:
        answer = get_items.sync(
            client=client,
            connection_id=connection_id,
            page_size=PAGE_SIZE,
            page_token=token or UNSET,
        )
        page = answered(ItemPage, answer)
        counts.update(item.resource for item in page.items)
        seen.extend(page.items)
        token = page.next_page_token
        if token is None:
            return counts, seen


def main(url: str, provider: str, user: str) -> None:
    with Client(base_url=url) as client:
        connection = connect(client, provider, user)
        sync_id = answered(str, connection.sync_id)
        sync = until(
            lambda: answered(SyncView, get_sync.sync(sync_id, client=client)),
            lambda found: found.state in {"done", "incomplete", "failed"},
        )
        counts, items = page_through(client, connection.id)
        last = items[-1]
        one = answered(
            ItemView, get_item.sync(connection.id, last.resource, last.id, client=client)
        )
        tell(
            state=sync.state,
            counts=counts,
            distinct=len({(item.resource, item.id) for item in items}),
            listed={"id": last.id, "name": last.name},
            read={"id": one.id, "name": one.name},
            raw=one.raw is not None and bool(one.raw.additional_properties),
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
