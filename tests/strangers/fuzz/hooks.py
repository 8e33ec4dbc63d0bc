"""Tell schemathesis what it cannot know, besides its own checks."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import schemathesis
from schemathesis.specs.openapi import checks

OWN_KEY = os.environ["FUZZ_KEY_PREFIX"]
"""The key that every request carries: revoking it would end the run with 401s."""
KNOWN: Mapping[str, str] = json.loads(os.environ["FUZZ_KNOWN"])
"""Existing ids (path parameter → value); made-up ones hardly ever exist."""
NOBODY = "0" * 32
"""The id of no connection."""
UNSAYABLE = frozenset(
    {
        "bad_handle",
        "bad_name",
        "bad_return_url",
        "bad_token",
        "missing_field",
        "not_connected",
        "unknown_resource",
    }
)
"""Codes that a valid request may get for reasons no schema can state, such as a wrong signature."""

# A wrong key is refused with 401, and after a few of them with 429: both keep it out.
checks.AUTH_REJECTION_STATUSES = frozenset({*checks.AUTH_REJECTION_STATUSES, 429})


@schemathesis.hook
def filter_path_parameters(_: Any, path_parameters: Mapping[str, Any] | None) -> bool:
    return (path_parameters or {}).get("prefix") != OWN_KEY


@schemathesis.hook
def map_path_parameters(
    context: Any, path_parameters: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Let every other request use existing ids; deleting an account finds ids by links alone."""
    if (
        not path_parameters
        or context.operation.definition.raw["operationId"] == "delete_connection"
    ):
        return path_parameters
    if (
        not all(isinstance(value, str) for value in path_parameters.values())
        or len("".join(path_parameters.values())) % 2
    ):
        return path_parameters
    return {name: KNOWN.get(name, value) for name, value in path_parameters.items()}


@schemathesis.hook
def before_call(_: Any, case: Any, __: Any) -> None:
    """Keep the account whose ids are known: ids are also taken from answers, and then deleted."""
    given = case.path_parameters or {}
    if case.method == "DELETE" and given.get("connection_id") == KNOWN["connection_id"]:
        case.path_parameters = {**given, "connection_id": NOBODY}


@schemathesis.hook
def map_query(_: Any, query: dict[str, Any] | None) -> dict[str, Any] | None:
    """Leave out made-up page tokens, which are refused first; links bring real ones."""
    made_up = (
        query is not None
        and isinstance(query.get("page_token"), str)
        and "\0" not in query["page_token"]
    )
    return (
        {name: value for name, value in (query or {}).items() if name != "page_token"}
        if made_up
        else query
    )


@schemathesis.check
def errors_are_the_documented_ones(_: Any, response: Any, case: Any) -> None:
    """Hold the ``code`` of an error to those that the document has an example of."""
    documented = _examples(case, response)
    if documented is None:
        return
    code = response.json()["code"]
    if code not in documented:
        raise AssertionError(f"`{code}` is not documented among {sorted(documented)}")


@schemathesis.check
def valid_requests_are_refused_only_for_what_no_schema_says(
    _: Any, response: Any, case: Any
) -> None:
    positive = case.meta is not None and case.meta.generation.mode.is_positive
    if positive and response.status_code in {400, 422} and _examples(case, response) is not None:
        code = response.json()["code"]
        if code not in UNSAYABLE:
            raise AssertionError(f"refused as `{code}`, which the schema could have said")


def _examples(case: Any, response: Any) -> Mapping[str, Any] | None:
    """Return the named examples of an error; None for other answers and undocumented methods."""
    if response.status_code < 400 or case.method.lower() != case.operation.method.lower():
        return None
    media = response.headers.get("content-type", [""])[0].partition(";")[0]
    document = case.operation.schema.raw_schema
    answer = case.operation.definition.raw["responses"].get(str(response.status_code))
    if answer is None or not media.endswith("json"):
        return None
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    examples: Mapping[str, Any] = answer["content"].get(media, {}).get("examples", {})
    return examples
