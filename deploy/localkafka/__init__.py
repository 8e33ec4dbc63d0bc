"""Run a Kafka broker for one machine, without Java: Kafka's protocol over an append-only log.

After ``broker = Broker(Path("log"), port=0)`` and ``await broker.start()``, clients connect to
``f"{broker.host}:{broker.port}"`` until ``await broker.stop()``. ``broker.cluster_id`` identifies
the log: it is drawn when the data folder is new, and clients read it in the cluster's metadata.
"""

from deploy.localkafka.errors import BrokerError
from deploy.localkafka.layout import check_layout, stored_layout
from deploy.localkafka.server import Broker

__all__ = ["Broker", "BrokerError", "check_layout", "stored_layout"]
