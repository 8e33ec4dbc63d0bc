from __future__ import annotations

import pytest

from services.gateway.throttle import (
    FORGOTTEN_S,
    FREE,
    LONGEST_S,
    MOST,
    Throttle,
    TooManyFailures,
    address_source,
)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def wait(throttle: Throttle, *sources: str) -> int:
    """Try a wrong key. Return the seconds to wait, 0 when it was only counted."""
    try:
        throttle.failed(sources)
    except TooManyFailures as refused:
        return int(refused.headers["retry-after"])
    return 0


def test_T32_the_first_failures_cost_nothing_then_each_costs_twice_the_wait() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    assert [wait(throttle, "a") for _ in range(FREE)] == [0] * FREE
    waits = []
    for _ in range(14):
        waits.append(wait(throttle, "a"))
        assert wait(throttle, "a") == waits[-1], "what is refused is not counted"
        clock.now += waits[-1]
        assert wait(throttle, "a") == 0, "who waits may try again"
    assert waits[:6] == [1, 2, 4, 8, 16, 32]
    assert waits[-1] == LONGEST_S


def test_T32_an_address_and_a_prefix_are_counted_apart_and_either_makes_wait() -> None:
    throttle = Throttle(Clock())
    for _ in range(FREE):
        wait(throttle, "prefix p")
    assert wait(throttle, "address 1", "prefix p") == 1
    assert wait(throttle, "address 1", "prefix q") == 0
    assert wait(throttle, "address 1") == 0


def test_an_hour_without_failure_is_a_fresh_start() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(FREE):
        wait(throttle, "a")
    clock.now += FORGOTTEN_S + 1
    assert wait(throttle, "a") == 0
    assert wait(throttle, "a") == 0


def test_many_sources_take_bounded_memory() -> None:
    throttle = Throttle(Clock())
    for _ in range(FREE):
        wait(throttle, "first")
    assert wait(throttle, "first") == 1
    for number in range(MOST - 1):
        wait(throttle, f"address {number}")
    assert wait(throttle, "first") == 1
    wait(throttle, "one too many")
    assert wait(throttle, "first") == 0, "the one that was silent longest is forgotten"


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("203.0.113.7", "address 203.0.113.7"),
        ("::ffff:203.0.113.7", "address 203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "address 2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "address 2001:db8:1:2::/64"),
        ("not an address", "address unknown"),
        (None, "address unknown"),
    ],
)
def test_an_address_is_counted_as_its_owner_has_it(host: str | None, source: str) -> None:
    assert address_source(host) == source
