"""Count what each service does, and show it on ``/metrics`` in Prometheus' text format.

Services may share a process, so each has its own registry: a count goes to the current service
(``bind_service``), as a log line does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import chain
from typing import Final, TypeVar, final

import prometheus_client as prometheus
import structlog
from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric

from shared.telemetry.context import current_service

PATIENCE_S: Final = 2.0
"""The longest wait of a scrape for each collector. Prometheus gives up after ten seconds."""
Collector = Callable[[], Awaitable[Iterable[Metric]]]
"""Reads gauges at the moment of a scrape."""
At = TypeVar("At", bound=tuple[str, ...])

log = structlog.get_logger()
_registries: dict[str, CollectorRegistry] = {}


@final
class Counter:
    """Count for every service that uses it. ``name`` goes without the ``_total`` that readers see.

    No label may take unbounded values from outside: each value is a series for ever.
    """

    def __init__(self, name: str, about: str, *labels: str) -> None:
        self._name, self._about, self._labels = name, about, labels
        self._counters: dict[str, prometheus.Counter] = {}
        self._series: dict[tuple[str, ...], prometheus.Counter] = {}

    def add(self, *labels: str, by: float = 1.0) -> None:
        """Count.

        ``by`` 0 shows a series before its first event: a rate cannot see the step from nothing to
        one.
        """
        at = (current_service(), *labels)
        series = self._series.get(at) or self._open(*at)
        series.inc(by)

    def _open(self, service: str, *labels: str) -> prometheus.Counter:
        if service not in self._counters:
            self._counters[service] = prometheus.Counter(
                self._name, self._about, self._labels, registry=_registry(service)
            )
        counter = self._counters[service]
        self._series[service, *labels] = series = counter.labels(*labels) if labels else counter
        return series


def gauge(
    name: str, about: str, values: Mapping[At, float] | float, *labels: str
) -> GaugeMetricFamily:
    """Return a gauge.

    ``values`` are by the values of ``labels``, in their order; a number if there are none.
    """
    family = GaugeMetricFamily(name, about, labels=labels)
    for at, value in values.items() if isinstance(values, Mapping) else [((), values)]:
        family.add_metric(at, value)
    return family


@final
class Scrape:
    """Answer ``/metrics``. A collector that fails is left out and reported."""

    def __init__(
        self, collectors: Callable[[], Mapping[str, Collector]], *, patience_s: float = PATIENCE_S
    ) -> None:
        self._collectors, self._patience_s = collectors, patience_s
        self._late: dict[str, asyncio.Task[Iterable[Metric]]] = {}

    async def text(self) -> bytes:
        collectors = self._collectors()
        found = await asyncio.gather(
            *(self._collected(name, collect) for name, collect in collectors.items())
        )
        failed = {
            (name,): float(families is None)
            for name, families in zip(collectors, found, strict=True)
        }
        about = "1 if the metrics of this collector could not be read and are missing now, else 0."
        told = gauge("tributary_scrape_collector_failed", about, failed, "collector")
        counted = _registry(current_service()).collect()
        read = chain.from_iterable(families or () for families in found)
        return generate_latest(_Collected([*counted, *read, told]))

    async def _collected(self, name: str, collect: Collector) -> Iterable[Metric] | None:
        late = self._late.pop(name, None)
        if late is not None and not late.done():
            self._late[name] = late
            return None
        task = asyncio.ensure_future(collect())
        task.add_done_callback(_noticed)
        try:
            # Not asyncio.timeout: it would wait until the task has ended, and a connection that
            # hangs may take long to be given up.
            await asyncio.wait([task], timeout=self._patience_s)
        finally:
            if not task.done():
                task.cancel()
                self._late[name] = task
        if not task.done() or task.cancelled():
            reason = "no answer in time"
        elif (error := task.exception()) is not None:
            reason = str(error)[:200]
        else:
            return task.result()
        log.warning("metrics_unknown", collector=name, reason=reason)
        return None


@final
class _Collected:
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _noticed(task: asyncio.Future[Iterable[Metric]]) -> None:
    """Look at the exception of a finished task.

    asyncio reports one that nobody has looked at when the task is forgotten.
    """
    if not task.cancelled():
        task.exception()


def _registry(service: str) -> CollectorRegistry:
    if service not in _registries:
        # Otherwise each counter has a second series, which only says when the process started.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        _registries[service] = CollectorRegistry()
        ProcessCollector(registry=_registries[service])
    return _registries[service]
