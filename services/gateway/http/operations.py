"""One operation of the REST contract, generated from the handler that serves it.

Beside path, method and signature, a handler carries these options in its decorator:

- ``errors``: the codes of ``error_codes`` that are its own; those of any request are added
- ``links``: the operations that can be called next with its answer
- ``form``: the shape of the form that it reads
- ``answers``: status → answer, where the return annotation does not say it
- ``headers``: the headers of its successful answer, with their meaning
- ``problem_media``, ``problem_page``: set if its errors are not problem+json, or are a page for a
  browser
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple, get_args

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, ParameterKwarg, PathParameter, QueryParameter
from litestar.typing import FieldDefinition

from services.gateway.http.error_codes import (
    OF_A_BODY,
    OF_ANY_REQUEST,
    OF_PARAMETERS,
    TITLES,
    ErrorCode,
    by_status,
)
from services.gateway.http.problems import PROBLEM_JSON, REQUEST_ID
from services.gateway.http.schemas import REF, Json, Known, example, inline, schema_of, write_known

JSON: Final = "application/json"
FORMS: Final = ("multipart/form-data", "application/x-www-form-urlencoded")
_LOCATIONS: Final[Mapping[type[ParameterKwarg], str]] = {
    PathParameter: "path",
    QueryParameter: "query",
    HeaderParameter: "header",
}
BEFORE_ANY_ROUTE: Final = frozenset(
    {"foreign_origin", "unsupported_encoding", "wrong_host", "stopping"}
)
"""Errors found before any route is, so that they are problem+json everywhere."""
OF_A_KEY: Final = frozenset({"unauthorized", "scope_too_small", "too_many_failures"})
_HEADERS: Final[Mapping[int, Json]] = {
    401: {"WWW-Authenticate": {"description": "How to send a key.", "schema": {"type": "string"}}},
    429: {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}},
    503: {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}},
}
_CONSTRAINTS: Final = {
    "ge": "minimum",
    "le": "maximum",
    "min_length": "minLength",
    "max_length": "maxLength",
}


class Link(NamedTuple):
    """A link to an operation.

    ``parameters`` are runtime expressions, such as ``$response.body#/id``.
    """

    operation: str
    description: str
    parameters: Mapping[str, str]


class Answer(NamedTuple):
    """An answer. ``content`` is media type → body, as an annotation or as a schema."""

    description: str
    content: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}


class DescribedServer(NamedTuple):
    """The server that the document describes.

    ``known`` holds its ``providers``, ``resources`` and ``topics``.
    """

    url: str
    keys_required: bool
    known: Known


class Operation(NamedTuple):
    """A handler at a path, and its permission: ``public`` or the scope that a key needs."""

    path: str
    method: str
    handler: HTTPRouteHandler
    permission: str

    @property
    def parameters(self) -> Mapping[str, FieldDefinition]:
        """Return argument → definition, for the arguments that come from path, query or headers."""
        known = self.handler.parsed_fn_signature.parameters
        return {name: field for name, field in known.items() if _location(field)}

    @property
    def body(self) -> FieldDefinition | None:
        return self.handler.parsed_fn_signature.parameters.get("data")

    @property
    def form(self) -> type[msgspec.Struct] | None:
        found: type[msgspec.Struct] | None = self.handler.opt.get("form")
        return found

    @property
    def answers(self) -> Mapping[int, Answer]:
        """Return the successful answer, and other answers that the handler itself describes."""
        own: Mapping[int, Answer] = self.handler.opt.get("answers", {})
        status = self.handler.status_code or 200
        if status in own:
            return own
        answer = self.handler.parsed_return_field.annotation
        content = (
            get_args(answer)[0]
            if self.handler.parsed_return_field.is_subclass_of(Response)
            else answer
        )
        described = self.handler.response_description or "Done."
        return {
            status: Answer(described, {JSON: content}, self.handler.opt.get("headers", {})),
            **own,
        }

    @property
    def error_codes(self) -> Collection[str]:
        """Return the codes of all errors that it can answer with."""
        locations = {_location(field) for field in self.parameters.values()}
        codes = {*OF_ANY_REQUEST, *self.handler.opt.get("errors", ())}
        codes |= {*OF_PARAMETERS} if "query" in locations else set()
        codes |= {"not_found"} if "path" in locations else set()
        codes |= {*OF_A_BODY} if self.body or self.form else set()
        return codes - (OF_A_KEY if self.permission == "public" else set())


def taken(operation: Operation) -> Iterable[Any]:
    """Yield the annotations of all bodies that it reads."""
    if operation.body is not None:
        yield operation.body.annotation
    if operation.form is not None:
        yield operation.form


def given(operation: Operation) -> Iterable[Any]:
    """Yield the annotations of all bodies that it answers with."""
    for answer in operation.answers.values():
        yield from answer.content.values()


def describe(operation: Operation, schemas: Mapping[str, Json], server: DescribedServer) -> Json:
    """Return the Operation Object; ``schemas`` are the document's components."""
    handler = operation.handler
    about = inline(handler.description or handler.fn.__doc__ or "")
    described: Json = {
        "operationId": handler.handler_name,
        "summary": handler.summary,
        "description": about,
        "tags": sorted(handler.resolve_tags()),
        "parameters": [
            _parameter(name, field, server.known) for name, field in operation.parameters.items()
        ],
    }
    if body := _body(operation, schemas):
        described["requestBody"] = body
    described["responses"] = _responses(operation, schemas)
    described["security"] = _security(operation.permission, keys_required=server.keys_required)
    if handler.deprecated:
        described["deprecated"] = True
    return described


def _location(field: FieldDefinition) -> str:
    """Return the source of a parameter; empty for an argument that is none."""
    definition = field.kwarg_definition
    return _LOCATIONS.get(type(definition), "") if isinstance(definition, ParameterKwarg) else ""


def _security(permission: str, *, keys_required: bool) -> list[Json]:
    """Name the scope: OpenAPI 3.1 lets a requirement list the roles that are needed."""
    if permission == "public":
        return []
    return [{"key": [permission]}, *([] if keys_required else [{}])]


def _parameter(name: str, field: FieldDefinition, known: Known) -> Json:
    definition = field.kwarg_definition
    assert isinstance(definition, ParameterKwarg)  # noqa: S101  # only those are parameters
    location = _location(field)
    schema = schema_of(field.raw, with_null=False)
    write_known(schema, known)
    schema |= {
        key: value
        for own, key in _CONSTRAINTS.items()
        if (value := getattr(definition, own)) is not None
    }
    if field.default not in {None, ...} and isinstance(field.default, str | int | bool):
        schema["default"] = field.default
    described: Json = {
        "name": definition.name or name,
        "in": location,
        "description": definition.description or schema.get("description", ""),
        "required": location == "path",
        "schema": schema,
    }
    schema.pop("description", None)
    if examples := schema.pop("examples", None):
        described["example"] = examples[0]
    return described


def _body(operation: Operation, schemas: Mapping[str, Json]) -> Json | None:
    if operation.form is not None:
        schema = schema_of(operation.form)
        return {
            "description": inline(operation.form.__doc__ or ""),
            "required": True,
            "content": {
                media: {"schema": schema, "example": example(schema, schemas)} for media in FORMS
            },
        }
    if operation.body is None:
        return None
    schema = schema_of(operation.body.annotation)
    named = example(schema, schemas)
    return {
        "description": "A JSON object in UTF-8.",
        "required": operation.body.is_required,
        "content": {JSON: {"schema": schema, "example": named}},
    }


def _responses(operation: Operation, schemas: Mapping[str, Json]) -> Json:
    found = {str(status): _answer(answer, schemas) for status, answer in operation.answers.items()}
    if links := operation.handler.opt.get("links"):
        found[str(operation.handler.status_code)]["links"] = {
            link.operation: {
                "operationId": link.operation,
                "description": link.description,
                "parameters": dict(link.parameters),
            }
            for link in links
        }
    for status, codes in by_status(operation.error_codes).items():
        found[str(status)] = _problem(status, codes, operation)
    return dict(sorted(found.items()))


def _answer(answer: Answer, schemas: Mapping[str, Json]) -> Json:
    described: Json = {"description": answer.description}
    if answer.headers:
        described["headers"] = {
            name: {"description": about, "schema": {"type": "string"}}
            for name, about in answer.headers.items()
        }
    content = {}
    for media, kind in answer.content.items():
        schema = kind if isinstance(kind, dict) else schema_of(kind)
        content[media] = {"schema": schema, "example": example(schema, schemas)}
    return described | ({"content": content} if content else {})


def _problem(status: int, codes: Mapping[str, ErrorCode], operation: Operation) -> Json:
    """Return an error answer, with an example of each of its codes."""
    own = operation.handler.opt.get("problem_media", PROBLEM_JSON)
    content: Json = {}
    for code, error in codes.items():
        media = PROBLEM_JSON if code in BEFORE_ANY_ROUTE else own
        kept = content.setdefault(
            media, {"schema": {"$ref": f"{REF}ProblemDetails"}, "examples": {}}
        )
        kept["examples"][code] = {"summary": error.meaning, "value": _shown(code, error)}
    if operation.handler.opt.get("problem_page") and own in content:
        content["text/html"] = {"schema": {"type": "string"}, "example": "<!doctype html>"}
    described: Json = {
        "description": " ".join(f"`{code}`: {error.meaning}" for code, error in codes.items())
    }
    if headers := _HEADERS.get(status):
        described["headers"] = headers
    return described | {"content": content}


def _shown(code: str, error: ErrorCode) -> Json:
    return {
        "type": "about:blank",
        "title": TITLES[error.status],
        "status": error.status,
        "detail": error.detail,
        "instance": "/v1/items",
        "code": code,
        "request_id": REQUEST_ID,
        "errors": [],
    }
