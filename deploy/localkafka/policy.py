"""Interpret a topic's configuration.

Names are those of Apache Kafka (https://kafka.apache.org/documentation/#topicconfigs). Defaults are
ours where a comment says so. Names without a field in ``Policy`` are stored and shown, and have no
effect on one machine.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from deploy.localkafka.errors import Code, Refused

_DAY: Final = 24 * 3600 * 1000
_MIB: Final = 1024 * 1024


class Policy(NamedTuple):
    """Times in milliseconds, sizes in bytes, -1 for no limit."""

    compacted: bool
    retention_ms: int
    retention_bytes: int
    segment_bytes: int
    segment_ms: int
    delete_retention_ms: int
    max_message_bytes: int


def _number(low: int) -> Callable[[str], bool]:
    def fits(value: str) -> bool:
        try:
            return low <= int(value) < 2**63
        except ValueError:
            return False

    return fits


def _share(value: str) -> bool:
    try:
        return 0 <= float(value) <= 1
    except ValueError:
        return False


def _cleanup(value: str) -> bool:
    return set(value.replace(" ", "").split(",")) <= {"compact", "delete"}


_SETTINGS: Final[dict[str, tuple[str, Callable[[str], bool]]]] = {
    "cleanup.policy": ("delete", _cleanup),
    "retention.ms": (str(7 * _DAY), _number(-1)),
    "retention.bytes": ("-1", _number(-1)),
    # Apache's is 1 GiB. Segments are trimmed and rewritten as a whole, so ours are small.
    "segment.bytes": (str(16 * _MIB), _number(1)),
    "segment.ms": (str(_DAY), _number(1)),  # Apache's is 7 days
    "delete.retention.ms": (str(7 * _DAY), _number(0)),  # Apache's is 1 day
    "max.message.bytes": (str(_MIB + 12), _number(0)),
    "min.cleanable.dirty.ratio": ("0.5", _share),
    "max.compaction.lag.ms": (str(2**63 - 1), _number(1)),
    "min.compaction.lag.ms": ("0", _number(0)),
    "min.insync.replicas": ("1", _number(1)),
    "compression.type": ("producer", {"producer"}.__contains__),
    "message.timestamp.type": ("CreateTime", {"CreateTime"}.__contains__),
}
DEFAULTS: Final[Mapping[str, str]] = {name: default for name, (default, _) in _SETTINGS.items()}


def check(configs: Mapping[str, str | None]) -> dict[str, str]:
    """Return the given settings without those that are null.

    Raises:
        Refused: an unknown name, or a value out of its range; the text names it.
    """
    for name, value in configs.items():
        if name not in _SETTINGS:
            raise Refused(Code.INVALID_CONFIG, f"Unknown topic config name: {name}")
        if value is not None and not _SETTINGS[name][1](value):
            raise Refused(Code.INVALID_CONFIG, f"Invalid value {value} for configuration {name}")
    return {name: value for name, value in configs.items() if value is not None}


def policy(configs: Mapping[str, str]) -> Policy:
    values = {**DEFAULTS, **configs}
    retention = int(values["retention.ms"])
    lifetime = int(values["segment.ms"])
    return Policy(
        compacted="compact" in values["cleanup.policy"],
        retention_ms=retention,
        retention_bytes=int(values["retention.bytes"]),
        segment_bytes=int(values["segment.bytes"]),
        # A segment is trimmed when its newest record is too old, so it must not stay open for
        # longer than that.
        segment_ms=lifetime if retention < 0 else min(lifetime, retention),
        delete_retention_ms=int(values["delete.retention.ms"]),
        max_message_bytes=int(values["max.message.bytes"]),
    )
