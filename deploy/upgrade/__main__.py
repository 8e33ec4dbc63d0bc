"""``python -m deploy.upgrade``: bring a stopped installation to the layout of this version.

It first says what is kept, and what is dropped and synced again. It can be killed at any moment and
run again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from deploy.lock import locked
from deploy.stores import installation_id, sandbox_state, stored_layouts
from deploy.upgrade.alone import hold_alone
from deploy.upgrade.installation import Installation, installations
from deploy.upgrade.steps import begin, finish, remake_fetcher, remake_topics, upgrade_gateway
from shared.exit_codes import Refusal, exit_code
from shared.layout import LAYOUT, UPGRADING, mark_sqlite, require_layout, sqlite_layout
from shared.process import read_settings
from shared.settings import Settings

WHOLE: Final = """
Kept, changed in place:  connections with their consents and tokens, the sealing keys, API keys,
                         console sign-ins
Dropped, synced again:   all items, from the providers, automatically after the next start
Dropped for good:        dead letters, the history of syncs, and everything else on the topics
                         tributary.*; programs that read these topics have to start over
"""
SANDBOX_ALONE: Final = (
    "\nThe state of the simulated providers is changed in place. Nothing is dropped.\n"
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m deploy.upgrade", description=__doc__)
    parser.add_argument("--yes", action="store_true", help="do it without asking")
    parser.add_argument(
        "--local-broker",
        action="store_true",
        help="create topics with the local broker's small partition counts",
    )
    parser.add_argument(
        "--broker-dir",
        type=Path,
        help="the local broker's folder (default: kafka in the data folder)",
    )
    given = parser.parse_args(arguments)

    def run() -> None:
        _run(read_settings(), yes=given.yes, broker_dir=given.broker_dir, local=given.local_broker)

    return exit_code(run)


def _run(settings: Settings, *, yes: bool, broker_dir: Path | None, local: bool) -> None:
    with locked(settings.data_dir):
        for opening in installations(
            settings, broker_dir or settings.data_dir / "kafka", local=local
        ):
            with opening as installation:
                asyncio.run(_upgrade(installation, yes=yes))


async def _upgrade(installation: Installation, *, yes: bool) -> None:
    settings = installation.settings
    async with AsyncExitStack() as stack:
        await hold_alone(settings, stack)
        stored = {**await stored_layouts(settings), **await installation.kafka_layouts()}
        other = {store: found for store, found in stored.items() if found != LAYOUT}
        for store, found in other.items():
            if found > LAYOUT:
                require_layout(found, store)
        if not other:
            print(f"There is nothing to upgrade: all stores have layout {LAYOUT}.")
            return
        state = sandbox_state(settings)
        old_state = sqlite_layout(state) not in {None, LAYOUT}
        whole = len(other) > old_state
        _agree(_told(other) + (WHOLE if whole else SANDBOX_ALONE), yes=yes)
        if old_state:
            mark_sqlite(state)
        if whole:
            loaded = await _upgrade_all(installation)
            print(f"{loaded} connections will be synced again automatically at the next start.")
    print(f"Upgraded to layout {LAYOUT}.")


def _told(other: dict[str, int]) -> str:
    lines = [f"This version needs layout {LAYOUT} in every store. These have another one:"]
    for store, found in other.items():
        layout = "an interrupted upgrade" if found == UPGRADING else f"layout {found}"
        lines.append(f"  {store}: {layout}")
    return "\n".join(lines) + "\n"


def _agree(plan: str, *, yes: bool) -> None:
    """Raise ``Refusal`` unless the person agrees."""
    print(plan, flush=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refusal(
            "Nothing was changed. To upgrade without being asked, add --yes "
            "(make upgrade YES=--yes)."
        )
    answer = input("Have you made a backup, and do you want to upgrade now? [y/N] ")
    if answer.strip().lower() not in {"y", "yes"}:
        raise Refusal("Nothing was changed.")


async def _upgrade_all(installation: Installation) -> int:
    settings = installation.settings
    known = await installation_id(settings)
    await begin(settings)
    async with installation.kafka() as cluster:
        await remake_topics(cluster, local=installation.local, installation=known)
    await remake_fetcher(settings)
    await upgrade_gateway(settings)
    return await finish(settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
