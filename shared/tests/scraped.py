"""Read ``/metrics`` as Prometheus does."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families


class Metrics:
    """One scrape. Raises ``ValueError`` if it is not in Prometheus' format."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))

    def get(self, name: str, **labels: str) -> float | None:
        """Return the sum of the series of ``name`` with these labels, None if there is none."""
        found = [
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(found) if found else None

    def __call__(self, name: str, **labels: str) -> float:
        value = self.get(name, **labels)
        assert value is not None, f"there is no {name}{labels}"
        return value


def rise(before: Metrics, after: Metrics) -> Callable[..., float]:
    """Return how much a metric has risen between two scrapes.

    Tests of one process share its counters.
    """
    return lambda name, **labels: after(name, **labels) - (before.get(name, **labels) or 0.0)
