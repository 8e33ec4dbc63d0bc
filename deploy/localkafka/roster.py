"""Keep the members of a consumer group, and elect the one that assigns the partitions."""

from deploy.localkafka.errors import Code, Refused
from deploy.localkafka.member import Joining, Member


class Roster:
    """Keep the members in the order in which they joined."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.leader = ""
        self.protocol_type = ""

    def known(self, joining: Joining) -> Member | None:
        """Return the member that joins again, None for a new one.

        Raises:
            Refused: the id is not in the group; another process with the same instance id has taken
                its seat; or it has no assignment protocol in common with the other members.
        """
        found = self.members.get(joining.member_id) or self._same_instance(joining)
        if joining.member_id and found is None:
            raise Refused(Code.UNKNOWN_MEMBER_ID)
        if joining.member_id and found is not None and found.id != joining.member_id:
            raise Refused(Code.FENCED_INSTANCE_ID)
        others = [member for member in self.members.values() if member is not found]
        common = set(joining.protocols).intersection(*(member.protocols for member in others))
        if not common or (others and joining.protocol_type != self.protocol_type):
            raise Refused(Code.INCONSISTENT_GROUP_PROTOCOL)
        return found

    def enter(self, known: Member | None, joining: Joining) -> Member:
        member = known or Member(joining)
        if known is not None:
            self.rename(known, joining)
        member.update(joining)
        self.members[member.id] = member
        self.protocol_type = joining.protocol_type
        return member

    def rename(self, member: Member, joining: Joining) -> None:
        """Let a static member (one with an instance id) that has restarted take its former seat.

        It gets a new id, so that its former self is fenced off (KIP-345).
        """
        if joining.member_id:
            return
        del self.members[member.id]
        leads = self.leader == member.id
        member.rename(joining)
        self.members[member.id] = member
        if leads:
            self.leader = member.id

    def without_the_late(self) -> list[Member]:
        """Remove the members that are not joining, and return them."""
        late = [member for member in self.members.values() if not member.is_joining]
        for member in late:
            member.close()
            del self.members[member.id]
        return late

    def elect(self) -> None:
        if self.leader not in self.members:
            self.leader = next(iter(self.members))

    def common_protocol(self) -> str:
        first, *others = self.members.values()
        common = set(first.protocols).intersection(*(member.protocols for member in others))
        return next(name for name in first.protocols if name in common)

    def _same_instance(self, joining: Joining) -> Member | None:
        same = (
            item
            for item in self.members.values()
            if item.instance_id and item.instance_id == joining.instance_id
        )
        return next(same, None)
