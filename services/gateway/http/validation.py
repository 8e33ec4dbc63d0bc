"""Refuse invalid requests, and say what would be valid."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from litestar import Request
from litestar.exceptions import ValidationException
from litestar.handlers import BaseRouteHandler
from msgspec import Meta

# msgspec reports an error only as a sentence, so the sentence is taken apart.
_FIELD: Final = re.compile(r"Object (contains unknown|missing required) field `(.*)`", re.DOTALL)
_TYPE: Final = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_LENGTH: Final = re.compile(r"Expected `\w+` of length (<=|>=) (\d+)")
_KINDS: Final = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_SHOWN: Final = 60
"""The most characters of a value that an error message repeats."""


AnyRequest = Request[Any, Any, Any]


class FieldError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One wrong value, in the body or in a parameter."""

    detail: Annotated[
        str,
        Meta(
            description="What is wrong with it.",
            examples=["`page_size` must be 1 to 200; 1000 is not."],
        ),
    ]
    pointer: Annotated[
        str | None,
        Meta(
            description="Its position in the body (RFC 6901); absent for a parameter.",
            examples=["/resources/0"],
            extra_json_schema={"format": "json-pointer"},
        ),
    ] = None
    parameter: Annotated[
        str | None,
        Meta(description="The parameter's name; absent for the body.", examples=["page_size"]),
    ] = None


def field_error(one: Mapping[str, Any], request: AnyRequest) -> FieldError:
    """Return the framework's finding ``one`` in our own words."""
    message, key = str(one.get("message", "")), str(one.get("key", ""))[:200]
    if one.get("source") in {"query", "header", "cookie", "path"}:
        return FieldError(detail=_of_parameter(key, message, request), parameter=key)
    fields = _fields(request.scope.get("route_handler"))
    if found := _FIELD.fullmatch(message):
        name = found[2][:_SHOWN]
        return FieldError(detail=_of_field(name, found[1], fields), pointer=f"/{_escaped(name)}")
    if key in {"", "data"}:
        takes = f" with {fields}" if fields else ""
        given = f"; {_kind(found[2])} was sent" if (found := _TYPE.match(message)) else ""
        return FieldError(detail=f"This request needs a JSON body: an object{takes}{given}.")
    return FieldError(
        detail=_of_value(key, message), pointer="/" + re.sub(r"\.|\[(\d+)\]", _step, key)
    )


def missing_field(name: str) -> ValidationException:
    """Return the framework's exception for a field that only some callers may leave out."""
    found = {"message": f"Object missing required field `{name}`", "key": "data", "source": "body"}
    return ValidationException(extra=[found])


def _of_field(name: str, fault: str, fields: str) -> str:
    if fault == "missing required":
        return f"`{name}` is missing; this request takes {fields}."
    return f"`{name}` is not a field of this request; it takes {fields}."


def _of_parameter(name: str, message: str, request: AnyRequest) -> str:
    given = str(request.query_params.get(name) or "")
    shown = given[:_SHOWN] + ("…" if len(given) > _SHOWN else "")
    limits = getattr(
        _parameters(request.scope.get("route_handler")).get(name), "kwarg_definition", None
    )
    low, high = getattr(limits, "ge", None), getattr(limits, "le", None)
    if low is not None and high is not None:
        return f"`{name}` must be {low:g} to {high:g}; {shown or 'nothing'} is not."
    return _of_value(name, message)


def _of_value(name: str, message: str) -> str:
    if found := _LENGTH.match(message):
        if found[1] == ">=":
            return (
                f"`{name}` must not be empty."
                if found[2] == "1"
                else f"`{name}` must have at least {found[2]}."
            )
        return f"`{name}` must be at most {found[2]} characters long."
    if found := _TYPE.match(message):
        return f"`{name}` must be {_kind(found[1])}; {_kind(found[2])} was sent."
    return f"`{name}` is not valid; see /docs for what it accepts."


def _kind(named: str) -> str:
    return " or ".join(_KINDS.get(kind, kind) for kind in named.split(" | "))


def _escaped(name: str) -> str:
    """Return a name as a JSON pointer has it: https://www.rfc-editor.org/rfc/rfc6901#section-3."""
    return name.replace("~", "~0").replace("/", "~1")


def _step(found: re.Match[str]) -> str:
    return f"/{found[1]}" if found[1] else "/"


def _fields(handler: BaseRouteHandler | None) -> str:
    data = _parameters(handler).get("data")
    kinds = (
        () if data is None else (data.annotation, *(kind.annotation for kind in data.inner_types))
    )
    shapes = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    return _listed(shapes[0]) if shapes else ""


def _listed(shape: type[msgspec.Struct]) -> str:
    """Return the names of a body's fields, as part of a sentence."""
    fields = msgspec.structs.fields(shape)
    required = _joined([one.encode_name for one in fields if one.required])
    optional = _joined([one.encode_name for one in fields if not one.required])
    return ", and ".join(part for part in (required, optional and f"optionally {optional}") if part)


def _joined(names: list[str]) -> str:
    *most, last = names or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _parameters(handler: BaseRouteHandler | None) -> Mapping[str, Any]:
    return {} if handler is None else handler.parsed_fn_signature.parameters
