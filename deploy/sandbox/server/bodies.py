"""Parse the bodies that the control API takes."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from deploy.sandbox.world import Limit, Limiter
from shared.errors import BadRequest

T = TypeVar("T")
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Ids = Annotated[list[str], Meta(max_length=1_000_000)]
YEARS: Final = 10 * 366 * 86_400


class NewAccount(Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    seed: int = 1
    counts: dict[str, Count] = {}
    properties: Count | dict[str, Count] = 0
    same_data_as: str | None = None


class Mutation(Struct, frozen=True, forbid_unknown_fields=True):
    resource: str
    create: Count = 0
    update: Count | Ids = 0
    archive: Count | Ids = 0
    merge: Ids = []
    references: Annotated[int, Meta(ge=0, le=10_000)] = 0
    odd: Count | Ids = 0


class Advance(Struct, frozen=True, forbid_unknown_fields=True):
    advance_s: Annotated[float, Meta(ge=0, le=YEARS)]


class IndexChange(Struct, frozen=True, forbid_unknown_fields=True):
    lags: bool
    loses: Annotated[float, Meta(ge=0, le=1)] = 0.0
    seed: int = 0


class LimitChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Change the given fields of a limit; the others stay as they are."""

    requests: Annotated[int, Meta(ge=0)] | None = None
    window_s: Annotated[float, Meta(gt=0)] | None = None
    penalty_s: Annotated[float, Meta(ge=0)] | None = None


class Pace(Struct, frozen=True):
    latency_ms: Annotated[float, Meta(ge=0, le=60_000)] | None = None
    off: bool | None = None


def read(body: bytes, shape: type[T]) -> T:
    """Return the body as ``shape``.

    Raises:
        BadRequest: it is not JSON, or has another shape; the message says where and what is
            expected.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise BadRequest(
            f"the body has the wrong shape: {error}. GET /_sandbox shows an example of every call"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not valid JSON ({error}): send a JSON document") from error


def change_limits(limiter: Limiter, body: bytes) -> None:
    """Apply all changes, or none when one is wrong; ``{}`` restores the provider's own limits."""
    given = read(body, dict[str, msgspec.Raw])
    if not given:
        limiter.reset()
        return
    pace = read(
        msgspec.json.encode(
            {name: given.pop(name) for name in Pace.__struct_fields__ if name in given}
        ),
        Pace,
    )
    unknown = sorted(given.keys() - limiter.limits.keys())
    if unknown:
        raise BadRequest(
            f"no bucket {', '.join(map(repr, unknown))} here: use {', '.join(limiter.limits)}, "
            "latency_ms or off"
        )
    changed = {name: _changed(limiter.limits[name], bytes(raw)) for name, raw in given.items()}
    limiter.limits.update(changed)
    limiter.latency_ms = limiter.latency_ms if pace.latency_ms is None else pace.latency_ms
    limiter.off = limiter.off if pace.off is None else pace.off


def limits_in_force(limiter: Limiter) -> dict[str, Any]:
    """Return the limits in the shape that ``change_limits`` takes."""
    return {**limiter.limits, "latency_ms": limiter.latency_ms, "off": limiter.off}


def _changed(limit: Limit, raw: bytes) -> Limit:
    change = read(raw, LimitChange)
    given = {
        name: value for name, value in msgspec.structs.asdict(change).items() if value is not None
    }
    return msgspec.structs.replace(limit, **given)
