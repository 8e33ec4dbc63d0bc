"""Kafka as we use it: at least once, raw bytes in, nothing lost, what cannot be processed kept as a dead letter.

FastStream runs the consumers; none of its acknowledgement policies does this, so ours stand on MANUAL and commit
themselves.
"""

from shared.kafka.admin import ClusterUnsuitable, cluster_id, ensure_topics
from shared.kafka.away import is_away
from shared.kafka.consume import Consumers
from shared.kafka.produce import Producer
from shared.kafka.received import Received

__all__ = ["ClusterUnsuitable", "Consumers", "Producer", "Received", "cluster_id", "ensure_topics", "is_away"]
