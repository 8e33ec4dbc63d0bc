"""Kafka as we use it: at least once, raw bytes in, nothing lost, what cannot be processed kept as a dead letter.

FastStream runs the consumers; none of its acknowledgement policies does this, so ours stand on MANUAL and commit
themselves.
"""

from shared.kafka.admin import ClusterUnsuitable, check_topics, cluster_id, ensure_topics
from shared.kafka.consume import Consumers
from shared.kafka.dead_letters import MOST_OF_A_LETTER
from shared.kafka.limit import DeadLetterLimit
from shared.kafka.lossless import UnsafeClient
from shared.kafka.produce import Producer
from shared.kafka.read_log import Logged, LogReader
from shared.kafka.received import Received
from shared.kafka.sign_in import SignInRefused

__all__ = [
    "MOST_OF_A_LETTER",
    "ClusterUnsuitable",
    "Consumers",
    "DeadLetterLimit",
    "LogReader",
    "Logged",
    "Producer",
    "Received",
    "SignInRefused",
    "UnsafeClient",
    "check_topics",
    "cluster_id",
    "ensure_topics",
]
