"""Keep the committed offsets of consumer groups in a journal of JSON lines.

The journal is rewritten when it has grown. A commit has left the process when it is answered, so it
survives kill -9. A power failure may take the last seconds of commits; then consumers read some
records again.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from deploy.localkafka.files import replace_durably, sync_data

_REWRITE_AFTER: Final = 20_000


class Position(NamedTuple):
    offset: int
    metadata: str


class Commit(msgspec.Struct, array_like=True):
    group: str
    positions: list[tuple[str, int, int, str]]


class CommittedOffsets:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._groups: dict[str, dict[tuple[str, int], Position]] = {}
        if path.exists():
            for line in path.read_bytes().splitlines():
                self._replay(line)
        self._fd = -1
        self._lines = 0
        self._rewrite()

    def groups(self) -> list[str]:
        return list(self._groups)

    def of(self, group: str) -> dict[tuple[str, int], Position]:
        return self._groups.get(group, {})

    def commit(self, group: str, positions: dict[tuple[str, int], Position]) -> None:
        line = msgspec.json.encode(_commit(group, positions)) + b"\n"
        os.write(self._fd, line)
        self._groups.setdefault(group, {}).update(positions)
        self._lines += 1

    def forget_topic(self, topic: str) -> None:
        for positions in self._groups.values():
            for key in [key for key in positions if key[0] == topic]:
                del positions[key]
        self._rewrite()

    def tend(self) -> None:
        if self._lines > _REWRITE_AFTER:
            self._rewrite()
        else:
            sync_data(self._fd)

    def close(self) -> None:
        sync_data(self._fd)
        os.close(self._fd)

    def _rewrite(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        commits = [
            _commit(group, positions) for group, positions in self._groups.items() if positions
        ]
        replace_durably(
            self._path, b"".join(msgspec.json.encode(commit) + b"\n" for commit in commits)
        )
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        self._lines = 0

    def _replay(self, line: bytes) -> None:
        try:
            commit = msgspec.json.decode(line, type=Commit)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # the torn end of a commit that was never acknowledged
        positions = self._groups.setdefault(commit.group, {})
        for topic, partition, offset, metadata in commit.positions:
            positions[topic, partition] = Position(offset, metadata)


def _commit(group: str, positions: dict[tuple[str, int], Position]) -> Commit:
    return Commit(
        group, [(topic, number, *position) for (topic, number), position in positions.items()]
    )
