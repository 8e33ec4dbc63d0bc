from deploy.sandbox.world import Limit, Limiter
from tests.support.clock import MovableClock


def limiter(**limits: Limit) -> Limiter:
    return Limiter(limits)


def test_requests_beyond_the_limit_are_told_how_long_to_wait() -> None:
    limits = limiter(a=Limit(2, 3_600.0))
    assert [limits.take("a", "k") for _ in range(2)] == [None, None]
    assert 3_000 < (limits.take("a", "k") or 0) <= 3_600


def test_keys_and_buckets_do_not_share_their_limit() -> None:
    limits = limiter(a=Limit(1, 60.0), b=Limit(1, 60.0))
    assert [limits.take("a", "k"), limits.take("a", "j"), limits.take("b", "k")] == [None] * 3


def test_a_window_that_has_passed_is_free_again(movable_clock: MovableClock) -> None:
    limits = limiter(a=Limit(1, 60.0))
    for _ in range(3):
        assert limits.take("a", "k") is None
        movable_clock.move(seconds=61)
    assert limits.remaining("a", "k") == 1


def test_a_breach_closes_the_bucket_for_the_penalty() -> None:
    limits = limiter(a=Limit(0, 1.0, penalty_s=3_600.0))
    assert limits.take("a", "k") == 3_600
    limits.limits["a"] = Limit(5, 1.0)
    assert 3_000 < (limits.take("a", "k") or 0) <= 3_600


def test_after_a_lowered_limit_the_wait_is_until_enough_requests_have_left_the_window() -> None:
    limits = limiter(a=Limit(3, 3_600.0))
    for _ in range(3):
        limits.take("a", "k")
    limits.limits["a"] = Limit(1, 3_600.0)
    assert 3_000 < (limits.take("a", "k") or 0) <= 3_600
    assert limits.remaining("a", "k") == 0


def test_off_lets_everything_through_and_reset_goes_back_to_the_defaults() -> None:
    limits = limiter(a=Limit(1, 60.0))
    limits.off, limits.latency_ms, limits.limits["a"] = True, 40.0, Limit(9, 1.0)
    assert [limits.take("a", "k") for _ in range(30)] == [None] * 30
    limits.reset()
    assert (limits.off, limits.latency_ms, limits.limits) == (False, 0.0, {"a": Limit(1, 60.0)})
    assert limits.remaining("a", "k") == 1
