"""Hold all consumer groups of the broker.

Members live in memory: after a restart they join again by themselves.
"""

from pathlib import Path
from typing import Final

from deploy.localkafka.errors import Code, Refused
from deploy.localkafka.group import Group, State
from deploy.localkafka.offsets import CommittedOffsets

DEAD: Final = "Dead"


class Groups:
    def __init__(self, data_dir: Path) -> None:
        self.offsets = CommittedOffsets(data_dir / "offsets.jsonl")
        self._groups: dict[str, Group] = {}

    def names(self) -> dict[str, str]:
        """Return every group with members or committed offsets, and its protocol type."""
        living = {
            name: group.roster.protocol_type
            for name, group in self._groups.items()
            if group.members
        }
        return dict.fromkeys(self.offsets.groups(), "consumer") | living

    def find(self, name: str) -> Group | None:
        return self._groups.get(name)

    def state(self, name: str) -> str:
        group = self._groups.get(name)
        if group is not None:
            return group.state
        return State.EMPTY if self.offsets.of(name) else DEAD

    def get(self, name: str) -> Group:
        """Return the group, created if there is none.

        Raises:
            Refused: an empty name.
        """
        if not name:
            raise Refused(Code.INVALID_GROUP_ID)
        if name not in self._groups:
            self._groups[name] = Group(name)
        return self._groups[name]

    def close(self) -> None:
        for group in self._groups.values():
            group.close()
        self.offsets.close()
