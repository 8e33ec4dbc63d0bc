"""Kafka as we use it: at least once, raw bytes in, and nothing lost.

FastStream runs the consumers. None of its acknowledgement policies keeps a message that fails, so
ours use MANUAL, commit offsets themselves, and keep what they cannot process as a dead letter.
"""

from shared.kafka.admin import (
    THE_TOPICS,
    ClusterUnsuitable,
    check_topics,
    check_topics_layout,
    drop_topics,
    ensure_topics,
    topics_layout,
)
from shared.kafka.client_safety import UnsafeClient
from shared.kafka.consume import Consumers
from shared.kafka.dead_letter_limit import DeadLetterLimit
from shared.kafka.dead_letters import MAX_DEAD_LETTER_BYTES
from shared.kafka.installation_record import read_installation
from shared.kafka.log_ids import log_ids
from shared.kafka.log_reader import LoggedRecord, LogReader
from shared.kafka.policies import lossy_policies
from shared.kafka.produce import Producer
from shared.kafka.record import ConsumedRecord
from shared.kafka.sasl import SignInRefused

__all__ = [
    "MAX_DEAD_LETTER_BYTES",
    "THE_TOPICS",
    "ClusterUnsuitable",
    "ConsumedRecord",
    "Consumers",
    "DeadLetterLimit",
    "LogReader",
    "LoggedRecord",
    "Producer",
    "SignInRefused",
    "UnsafeClient",
    "check_topics",
    "check_topics_layout",
    "drop_topics",
    "ensure_topics",
    "log_ids",
    "lossy_policies",
    "read_installation",
    "topics_layout",
]
