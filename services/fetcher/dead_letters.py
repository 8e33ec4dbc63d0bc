"""Records that could not be read are kept: their bytes, and the place they had in the page."""

from __future__ import annotations

from services.fetcher.context import FetcherContext
from services.fetcher.emit import MALFORMED
from services.fetcher.run import JobRun
from shared.connector import Page
from shared.contracts.envelope import Message
from shared.contracts.items import MAX_BYTES
from shared.contracts.topics import ITEMS, dead_letters
from shared.kafka.metrics import count_dead_letters


async def send_dead_letters(run: JobRun, context: FetcherContext, page: Page) -> None:
    await context.producer.send_all(
        [
            Message(
                topic=dead_letters(ITEMS),
                key=run.job.lane.encode(),
                value=rejected.raw[:MAX_BYTES],
                headers=(
                    ("dlq_error", f"{MALFORMED}: {rejected.reason}"[:1000].encode(errors="replace")),
                    ("dlq_pointer", rejected.pointer[:1000].encode(errors="replace")),
                    ("dlq_service", b"fetcher"),
                    ("dlq_bytes", str(len(rejected.raw)).encode()),
                    ("org_id", run.source.org_id.encode()),
                ),
            )
            for rejected in page.rejected
        ]
    )
    count_dead_letters(ITEMS, len(page.rejected))
