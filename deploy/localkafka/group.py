"""Run the membership protocol of one consumer group: join, sync, heartbeat, leave.

Empty ──join──▶ Preparing ──all joined──▶ Completing ──leader syncs──▶ Stable
                    ▲───── a member joins, leaves or is silent too long ──┘
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import structlog

from deploy.localkafka.errors import Code, Refused
from deploy.localkafka.member import Joined, Joining, Member
from deploy.localkafka.roster import Roster

_logger = structlog.get_logger()
# Lets members that start together meet in the first generation: Kafka's own setting is
# group.initial.rebalance.delay.ms (KIP-134).
_SETTLE_SECONDS: Final = 0.02


class State(StrEnum):
    EMPTY = "Empty"
    PREPARING = "PreparingRebalance"
    COMPLETING = "CompletingRebalance"
    STABLE = "Stable"


class Group:
    def __init__(self, name: str) -> None:
        self.name = name
        self.state = State.EMPTY
        self.generation = 0
        self.protocol = ""
        self.roster = Roster()
        self._settling = False
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def members(self) -> dict[str, Member]:
        return self.roster.members

    async def join(self, joining: Joining) -> Joined:
        """Return when the generation is complete.

        Raises:
            Refused: an unknown or fenced member, or no assignment protocol in common with the
                others.
        """
        known = self.roster.known(joining)
        if known is not None and self._unchanged(known, joining):
            return self._rejoined(known, joining)
        member = self.roster.enter(known, joining)
        answer = member.await_join()
        self._prepare_rebalance()
        self._complete_if_all_joined()
        try:
            return await answer
        except asyncio.CancelledError:  # its connection is gone, so it never learns its id
            self._remove(member)
            raise

    async def sync(self, member_id: str, generation: int, assignments: dict[str, bytes]) -> bytes:
        """Return the member's assignment once the leader has sent it.

        Raises:
            Refused: not a member of this generation, or the group is on its way to the next one.
        """
        member = self.member(member_id, generation)
        member.stay_alive(self._expire)
        if self.state is State.PREPARING:
            raise Refused(Code.REBALANCE_IN_PROGRESS)
        if self.state is State.STABLE:
            return member.assignment
        answer = member.await_sync()
        if member_id == self.roster.leader:
            self.state = State.STABLE
            for each in self.members.values():
                each.assign(assignments.get(each.id, b""))
        return await answer

    def heartbeat(self, member_id: str, generation: int) -> None:
        """Keep the member in the group.

        Raises:
            Refused: as ``sync``; the member then joins again.
        """
        self.member(member_id, generation).stay_alive(self._expire)
        if self.state is State.PREPARING:
            raise Refused(Code.REBALANCE_IN_PROGRESS)

    def leave(self, member_id: str) -> None:
        """Let the other members take over at once.

        Raises:
            Refused: not a member.
        """
        if member_id not in self.members:
            raise Refused(Code.UNKNOWN_MEMBER_ID)
        self._remove(self.members[member_id])

    def check_commit(self, member_id: str, generation: int) -> None:
        """Allow a commit by a member, and by anyone while the group has no members.

        Raises:
            Refused: not a member of this generation, or the new generation is not assigned yet.
        """
        if generation < 0 and not self.members:
            return
        self.member(member_id, generation).stay_alive(self._expire)
        if self.state is State.COMPLETING:
            raise Refused(Code.REBALANCE_IN_PROGRESS)

    def close(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        for member in self.members.values():
            member.close()

    def member(self, member_id: str, generation: int) -> Member:
        member = self.members.get(member_id)
        if member is None:
            raise Refused(Code.UNKNOWN_MEMBER_ID)
        if generation != self.generation:
            raise Refused(Code.ILLEGAL_GENERATION)
        return member

    def _unchanged(self, member: Member, joining: Joining) -> bool:
        if member.protocols != joining.protocols:
            return False
        if (
            self.state is State.STABLE
        ):  # the leader joins again to have the partitions assigned anew
            return member.id != self.roster.leader or not joining.member_id
        return self.state is State.COMPLETING and bool(joining.member_id)

    def _rejoined(self, member: Member, joining: Joining) -> Joined:
        leader = self.roster.leader
        self.roster.rename(member, joining)
        member.stay_alive(self._expire)
        # A static leader that restarts is told its former id as the leader's, so that it does not
        # assign the partitions anew (KIP-345).
        return self._joined(member, leader if self.state is State.STABLE else self.roster.leader)

    def _prepare_rebalance(self) -> None:
        if self.state is State.PREPARING:
            return
        for member in self.members.values():
            member.refuse_sync(Code.REBALANCE_IN_PROGRESS)
        self._settling = self.state is State.EMPTY
        self.state = State.PREPARING
        longest = max(member.rebalance_timeout for member in self.members.values())
        self._after(_SETTLE_SECONDS if self._settling else longest, self._complete)

    def _complete_if_all_joined(self) -> None:
        if self.state is not State.PREPARING or self._settling:
            return
        if all(member.is_joining for member in self.members.values()):
            self._complete()

    def _complete(self) -> None:
        self._settling = False
        if self._deadline is not None:
            self._deadline.cancel()
        for late in self.roster.without_the_late():
            _logger.info("local_broker_member_missed_rebalance", group=self.name, member=late.id)
        self.generation += 1
        if not self.members:
            self.state = State.EMPTY
            return
        self.state = State.COMPLETING
        self.roster.elect()
        self.protocol = self.roster.common_protocol()
        for member in self.members.values():
            member.assignment = b""
            member.joined(self._joined(member, self.roster.leader))
            member.stay_alive(self._expire)

    def _joined(self, member: Member, leader: str) -> Joined:
        everyone = self.members.values() if member.id == leader else ()
        metadata = [(item.id, item.instance_id, item.protocols[self.protocol]) for item in everyone]
        return Joined(self.generation, self.protocol, leader, member.id, metadata)

    def _expire(self, member: Member) -> None:
        _logger.info(
            "local_broker_member_silent",
            group=self.name,
            member=member.id,
            timeout_s=member.session_timeout,
        )
        self._remove(member)

    def _remove(self, member: Member) -> None:
        if self.members.get(member.id) is not member:
            return
        del self.members[member.id]
        member.close()
        if not self.members:
            self._complete()
        else:
            self._prepare_rebalance()
            self._complete_if_all_joined()

    def _after(self, seconds: float, what: Callable[[], None]) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(seconds, what)
