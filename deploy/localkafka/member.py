"""Represent a member of a consumer group: what it said when joining, and what it waits for."""

import asyncio
import uuid
from collections.abc import Callable
from typing import NamedTuple

from deploy.localkafka.errors import Code, Refused


class Joining(NamedTuple):
    """A request to join.

    Timeouts are in seconds. ``protocols`` are assignment strategies, the preferred one first, each
    with the subscription for it. ``member_id`` is empty for a client that is not a member yet.
    """

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    session_timeout: float
    rebalance_timeout: float
    protocol_type: str
    protocols: dict[str, bytes]


class Joined(NamedTuple):
    """The answer. Only the leader gets ``members`` (id, instance id, subscription)."""

    generation: int
    protocol: str
    leader: str
    member_id: str
    members: list[tuple[str, str | None, bytes]]


class Member:
    def __init__(self, joining: Joining) -> None:
        self.id = _new_id(joining)
        self.instance_id = joining.instance_id
        self.assignment = b""
        self._joining: asyncio.Future[Joined] | None = None
        self._syncing: asyncio.Future[bytes] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.update(joining)

    def update(self, joining: Joining) -> None:
        self.client_id, self.client_host = joining.client_id, joining.client_host
        self.session_timeout = joining.session_timeout
        self.rebalance_timeout = joining.rebalance_timeout
        self.protocols = joining.protocols

    def rename(self, joining: Joining) -> None:
        self.id = _new_id(joining)

    @property
    def is_joining(self) -> bool:
        return self._joining is not None

    def await_join(self) -> asyncio.Future[Joined]:
        self._refuse(self._joining, Code.REBALANCE_IN_PROGRESS)
        self._joining = asyncio.get_running_loop().create_future()
        return self._joining

    def joined(self, answer: Joined) -> None:
        if self._joining is not None and not self._joining.done():
            self._joining.set_result(answer)
        self._joining = None

    def await_sync(self) -> asyncio.Future[bytes]:
        self.refuse_sync(Code.REBALANCE_IN_PROGRESS)
        self._syncing = asyncio.get_running_loop().create_future()
        return self._syncing

    def assign(self, assignment: bytes) -> None:
        self.assignment = assignment
        if self._syncing is not None and not self._syncing.done():
            self._syncing.set_result(assignment)
        self._syncing = None

    def refuse_sync(self, code: Code) -> None:
        self._refuse(self._syncing, code)
        self._syncing = None

    def stay_alive(self, expire: Callable[["Member"], None]) -> None:
        """Start the session timeout anew; ``expire`` is called when it is over.

        It does not run while the member waits for us.
        """
        loop = asyncio.get_running_loop()
        self._deadline = loop.time() + self.session_timeout
        if self._timer is None:
            self._timer = loop.call_at(self._deadline, self._look, expire)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._refuse(self._joining, Code.UNKNOWN_MEMBER_ID)
        self.refuse_sync(Code.UNKNOWN_MEMBER_ID)

    def _look(self, expire: Callable[["Member"], None]) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        if self._joining is not None or self._syncing is not None:
            self.stay_alive(expire)
        elif loop.time() < self._deadline:
            self._timer = loop.call_at(self._deadline, self._look, expire)
        else:
            expire(self)

    @staticmethod
    def _refuse(waiting: asyncio.Future[Joined] | asyncio.Future[bytes] | None, code: Code) -> None:
        if waiting is not None and not waiting.done():
            waiting.set_exception(Refused(code))


def _new_id(joining: Joining) -> str:
    return f"{joining.client_id or 'consumer'}-{uuid.uuid4()}"
