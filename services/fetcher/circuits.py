"""Stop calling a provider that does not answer, until a single call finds that it does again.

Each worker process has its own circuits. They spare calls, and nothing else depends on them. They
hold only what is failing: calls that succeed have nothing to look up.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from shared import clock
from shared.connector import RetryLater

PARTS: Final = 2
"""Parts of an account that have to fail: one alone may have a fault of its own."""
ACCOUNTS: Final = 3
"""Accounts of a provider that have to fail; fewer are enough if no other is at work."""
SILENT_S: Final = 10.0
"""Seconds without an answer before failures open a circuit."""
FIRST_S: Final = 5.0
LONGEST_S: Final = 300.0
ACTIVE_S: Final = 3600.0
"""Seconds for which an account is at work after its last run."""


class HeldBack(NamedTuple):
    """Say for how many seconds nothing is called, and why, for people and programs."""

    seconds: float
    reason: str
    code: str


@dataclass
class Circuit:
    """Hold what has been failing since the last answer.

    ``next_call_at`` is when a single call may try, None while the circuit is closed. Times are
    those of ``clock.monotonic``.
    """

    since: float
    last: RetryLater
    failing: set[str] = field(default_factory=set)
    next_call_at: float | None = None

    def fail(self, what: str, error: RetryLater, *, most: int) -> None:
        """Count a failure, and open the circuit if it is the last one that it takes."""
        now = clock.monotonic()
        self.failing.add(what)
        self.last = error
        silent = now - self.since >= SILENT_S
        if self.next_call_at is not None or (silent and len(self.failing) >= most):
            self.pause()

    def pause(self) -> None:
        """Let no call out for about as long as it has been failing, half random."""
        now = clock.monotonic()
        longest = min(LONGEST_S, max(FIRST_S, now - self.since))
        self.next_call_at = now + longest * random.uniform(0.5, 1.0)  # noqa: S311  # spreads calls


@dataclass
class Circuits:
    """The circuits of accounts, by connection, and of providers.

    ``active`` has the time of each account's last run, by provider and connection.
    """

    accounts: dict[str, Circuit] = field(default_factory=dict)
    providers: dict[str, Circuit] = field(default_factory=dict)
    active: dict[tuple[str, str], float] = field(default_factory=dict)

    def failed(self, provider: str, connection_id: str, part: str, error: RetryLater) -> None:
        """Count a failure. One that is the account's own says nothing about the provider."""
        now = clock.monotonic()
        account = self.accounts.setdefault(connection_id, Circuit(now, error))
        account.fail(part, error, most=PARTS)
        if not error.of_account:
            whole = self.providers.setdefault(provider, Circuit(now, error))
            whole.fail(connection_id, error, most=1 if self._none_left(provider) else ACCOUNTS)

    def _none_left(self, provider: str) -> bool:
        """Return True if the circuits of all accounts at work are open."""
        now = clock.monotonic()
        for (of, connection_id), last in self.active.items():
            account = self.accounts.get(connection_id)
            is_open = account is not None and account.next_call_at is not None
            if of == provider and now - last < ACTIVE_S and not is_open:
                return False
        return True

    def answered(self, provider: str, connection_id: str, error: object) -> None:
        """Close what an answer shows to work: the provider, and the account unless it failed."""
        self.providers.pop(provider, None)
        if not isinstance(error, RetryLater) or error.limit:
            self.accounts.pop(connection_id, None)

    def held_back(self, provider: str, connection_id: str) -> HeldBack | None:
        """Return how long the account's calls wait, None if one may try now: the next one waits."""
        found = (self.providers.get(provider), self.accounts.get(connection_id))
        open_ = [one for one in found if one is not None and one.next_call_at is not None]
        now = clock.monotonic()
        for circuit in open_:
            left = (circuit.next_call_at or 0.0) - now
            if left > 0:
                return HeldBack(left, circuit.last.reason, circuit.last.code)
        for circuit in open_:
            circuit.pause()
        return None
