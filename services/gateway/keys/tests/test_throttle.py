from __future__ import annotations

import pytest

from services.gateway.keys.refused import TooManyFailures
from services.gateway.keys.throttle import FORGOTTEN_S, FREE, LONGEST_S, MOST, Throttle, address_source


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def wait(throttle: Throttle, *sources: str, digest: str = "new") -> int:
    """Seconds that somebody with these sources has to wait now."""
    try:
        throttle.check(sources, digest)
    except TooManyFailures as refused:
        return int(refused.headers["retry-after"])
    return 0


def fail(throttle: Throttle, source: str, times: int = 1) -> None:
    for number in range(times):
        throttle.failed([source], f"wrong {number}")


def test_T32_the_first_failures_cost_nothing_then_each_costs_twice_the_wait() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    fail(throttle, "a", FREE - 1)
    assert wait(throttle, "a") == 0
    waits = []
    for _ in range(14):
        fail(throttle, "a")
        waits.append(wait(throttle, "a"))
        clock.now += waits[-1]
        assert wait(throttle, "a") == 0, "who waits may try again"
    assert waits[:6] == [1, 2, 4, 8, 16, 32]
    assert waits[-1] == LONGEST_S


def test_T32_an_address_and_a_prefix_are_counted_apart_and_either_makes_wait() -> None:
    throttle = Throttle(Clock())
    fail(throttle, "prefix p", FREE)
    assert wait(throttle, "address 1", "prefix p") == 1
    assert wait(throttle, "address 1", "prefix q") == 0
    assert wait(throttle, "address 1") == 0


def test_T32_a_key_that_was_right_passes_whatever_strangers_try() -> None:
    throttle = Throttle(Clock())
    throttle.passed("right")
    fail(throttle, "a", 50)
    assert wait(throttle, "a", digest="right") == 0
    throttle.failed(["a"], "right")
    assert wait(throttle, "a", digest="right") > 0, "it was revoked meanwhile"


def test_an_hour_without_failure_is_a_fresh_start() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    fail(throttle, "a", 30)
    clock.now += FORGOTTEN_S + 1
    fail(throttle, "a")
    assert wait(throttle, "a") == 0


def test_many_sources_and_keys_take_bounded_memory() -> None:
    throttle = Throttle(Clock())
    for number in range(MOST + 10):
        fail(throttle, f"address {number}")
        throttle.passed(f"digest {number}")
    assert len(throttle._failures) == len(throttle._right) == MOST


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
