"""Quote Notion in a reason without letting its text do harm."""

from typing import Any

from shared.connector import Interruption, Response
from shared.providers.notion.connector import CONNECTOR


def problem(status: int, body: Any = None, **headers: str) -> Interruption | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return CONNECTOR.problem(Response(status=status, headers=named, body=body))


def error(code: str, message: str = "Something.", **extra: Any) -> dict[str, Any]:
    return {"object": "error", "code": code, "message": message, "additional_data": extra}


def test_what_notion_says_is_quoted_short_and_without_invisible_letters() -> None:
    found = problem(400, error("validation_error", "bad\u202e\x00 thing\n" + "x" * 5_000))
    assert found is not None
    assert "bad thing xxx" in found.reason
    assert len(found.reason) < 260
    assert found.reason.isprintable()
