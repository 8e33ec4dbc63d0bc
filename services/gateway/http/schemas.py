"""JSON schemas of our structs, for the REST contract and the Kafka contract.

msgspec writes them from the annotations; here they get what readers and client generators expect
beyond that. The example of a shape is composed of the examples of its fields, so both have one
source.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, get_args, get_type_hints

import msgspec

Json = dict[str, Any]
REF: Final = "#/components/schemas/"
_NULL: Final = {"type": "null"}
_NO_WAIT: Final[Json] = {
    "state": "done",
    "waiting_reason": None,
    "waiting_code": None,
    "waiting_until": None,
}
_TOGETHER: Final[Mapping[str, Json]] = {
    "Connection": {"reason": None},
    "ConnectionView": {"reason": None},
    "JobProgress": {**_NO_WAIT, "error": None},
    "KeyView": {"revoked_at": None},
    "Item": {"raw_bytes": None, "truncated": []},
    "SyncedItem": {"raw_bytes": None, "truncated": []},
    "ResourceState": {**_NO_WAIT, "error": None},
    "SyncView": _NO_WAIT,
}
"""Shape → fields of its example that would otherwise contradict one another."""
_ABSENT: Final = {"ConnectStatus": {"error"}, "FieldError": {"pointer"}}
"""Shape → fields that its example leaves out for the same reason."""
_OF_A_VALUE: Final = ("format", "pattern", "minLength", "maxLength", "minimum", "maximum", "enum")
"""Keywords that constrain a value, and say nothing about null."""


Known = Mapping[str, Sequence[str]]
"""``x-known`` of a schema → the values that it stands for."""


def components(
    shapes: Collection[type[msgspec.Struct]],
    *,
    sent: Collection[type[msgspec.Struct]] = (),
    known: Known | None = None,
) -> Json:
    """Return name → schema of ``shapes``, sorted by name.

    Shapes in ``sent`` only ever leave this server. Their fields with a default are always present,
    so they are required.

    Raises:
        ValueError: two shapes have the same name, so one would replace the other.
    """
    _, found = msgspec.json.schema_components(
        sorted(shapes, key=_name), ref_template=REF + "{name}"
    )
    schemas: Json = {name: found[name] for name in sorted(found)}
    if doubled := [name for name in schemas if not name.isidentifier()]:
        raise ValueError(f"These shapes share their name with another: {', '.join(doubled)}.")
    for schema in schemas.values():
        schema["description"] = inline(schema.get("description", ""))
        for field in schema.get("properties", {}).values():
            # Generators always send a field that has a default; its description says what leaving
            # it out means.
            field.pop("default", None)
            write_known(field, known or {})
            _refine(field)
    for shape in sent:
        if not shape.__struct_config__.omit_defaults:
            schemas[shape.__name__]["required"] = sorted(schemas[shape.__name__]["properties"])
    for name in schemas:
        schemas[name]["examples"] = [example({"$ref": REF + name}, schemas)]
    return schemas


def structs(annotations: Iterable[Any]) -> set[type[msgspec.Struct]]:
    """Return the structs in ``annotations``, and all structs inside those."""
    found: set[type[msgspec.Struct]] = set()
    pending = list(annotations)
    while pending:
        one = pending.pop()
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            if one not in found:
                found.add(one)
                pending.extend(get_type_hints(one).values())
        else:
            pending.extend(get_args(one))
    return found


def schema_of(annotation: Any, *, with_null: bool = True) -> Json:
    """Return the schema of ``annotation``, with structs as references.

    Without ``with_null`` it is the schema of a value that is present.
    """
    (schema,), _ = msgspec.json.schema_components([annotation], ref_template=REF + "{name}")
    _refine(schema)
    branches = schema.get("anyOf", [])
    if with_null or _NULL not in branches:
        return schema
    rest = [one for one in branches if one != _NULL]
    about = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**about, **rest[0]} if len(rest) == 1 else {**about, "anyOf": rest}


def example(schema: Mapping[str, Any], schemas: Mapping[str, Json]) -> Any:
    """Return a value that fits: the schema's own example, or one composed of its parts'."""
    if "examples" in schema:
        return schema["examples"][0]
    if reference := schema.get("$ref"):
        name = reference.removeprefix(REF)
        found = {**example(schemas[name], schemas), **_TOGETHER.get(name, {})}
        return {
            field: value for field, value in found.items() if field not in _ABSENT.get(name, ())
        }
    if "enum" in schema or "const" in schema:
        return schema["enum"][0] if "enum" in schema else schema["const"]
    if branches := schema.get("anyOf"):
        return example(branches[0], schemas)
    if schema.get("type") == "array":
        return [example(schema["items"], schemas)]
    return {name: example(field, schemas) for name, field in schema.get("properties", {}).items()}


def write_known(schema: Any, known: Known) -> None:
    """Replace ``x-known`` in a schema by the values that it stands for."""
    if isinstance(schema, dict):
        if values := known.get(schema.pop("x-known", "")):
            schema |= {"enum": list(values), "examples": [values[0]]}
        for part in schema.values():
            write_known(part, known)
    elif isinstance(schema, list):
        for part in schema:
            write_known(part, known)


def inline(text: str) -> str:
    """Return a docstring as Markdown: each paragraph on one line, code in single backticks."""
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).replace("``", "`")


def _name(shape: type[msgspec.Struct]) -> str:
    return shape.__name__


def _refine(field: Json) -> None:
    """Move the keywords of a value from beside ``anyOf`` into its only branch but null.

    Client generators look for them there.
    """
    values = [one for one in field.get("anyOf", []) if one != _NULL]
    if len(values) == 1:
        for keyword in _OF_A_VALUE:
            if keyword in field:
                values[0][keyword] = field.pop(keyword)
    for one in (field, *values):
        if "enum" in one and all(isinstance(value, str) for value in one["enum"]):
            one["type"] = "string"
