"""Join a consumer group as a process of its own: print every value read, then commit."""

import asyncio
import sys

import confluent_kafka
from aiokafka import AIOKafkaConsumer

from deploy.localkafka.tests.harness import confluent_settings


async def with_aiokafka(address: str, topic: str, group: str) -> None:
    client = AIOKafkaConsumer(
        topic,
        bootstrap_servers=address,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=1000,
        heartbeat_interval_ms=200,
    )
    await client.start()
    async for message in client:
        print(f"{message.partition} {message.value.decode()}", flush=True)
        await client.commit()


def with_confluent(address: str, topic: str, group: str) -> None:
    client = confluent_kafka.Consumer(confluent_settings(address, group))
    client.subscribe([topic])
    while True:
        message = client.poll(1)
        if message is not None and message.error() is None:
            value = message.value()
            assert isinstance(value, bytes)
            print(f"{message.partition()} {value.decode()}", flush=True)
            client.commit(message=message, asynchronous=False)


if __name__ == "__main__":
    if sys.argv[1] == "aiokafka":
        asyncio.run(with_aiokafka(*sys.argv[2:]))
    else:
        with_confluent(*sys.argv[2:])
