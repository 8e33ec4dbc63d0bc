"""Forms of the original routes: multipart as browsers send them, or URL-encoded."""

from __future__ import annotations

from dataclasses import dataclass

from litestar.datastructures import UploadFile
from litestar.openapi.spec import OpenAPIMediaType, Operation, Reference, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

from services.gateway.api.words import AnyRequest
from shared.errors import BadRequest

LONGEST = 16_384


async def form_text(request: AnyRequest, *required: str, optional: tuple[str, ...] = ()) -> dict[str, str]:
    """The named fields that are there. Raises ``BadRequest`` for a required one that is absent or empty, or a file."""
    try:
        form = await request.form()
    except UnicodeDecodeError:
        raise BadRequest("The form's fields have to be UTF-8.", code="bad_form") from None
    found: dict[str, str] = {}
    for name in (*required, *optional):
        value = form.get(name)
        if isinstance(value, UploadFile) or len(str(value or "")) > LONGEST or "\0" in str(value or ""):
            raise BadRequest(f"{name} has to be a short text.", code="bad_form")
        if value:
            found[name] = str(value)
    missing = [name for name in required if not found.get(name, "").strip()]
    if missing:
        raise BadRequest(
            f"Missing or empty: {', '.join(missing)}. Send a form (multipart or URL-encoded).",
            code="missing_field",
            status=422,
        )
    return found


def _form(required: list[str], **fields: str) -> dict[str, OpenAPIMediaType]:
    properties: dict[str, Reference | Schema] = {
        name: Schema(type=OpenAPIType.STRING, description=about) for name, about in fields.items()
    }
    schema = Schema(type=OpenAPIType.OBJECT, properties=properties, required=required or None)
    kinds = ("multipart/form-data", "application/x-www-form-urlencoded")
    return {kind: OpenAPIMediaType(schema=schema) for kind in kinds}


@dataclass
class AccountForm(Operation):
    def __post_init__(self) -> None:
        content = _form(["user_id", "org_id"], user_id="Who connects.", org_id="For which organisation.")
        self.request_body = RequestBody(content=content, required=True)


@dataclass
class LoadForm(Operation):
    def __post_init__(self) -> None:
        content = _form(
            [], user_id="With org_id: whose.", org_id="With user_id.", credentials="Or: what /credentials answered."
        )
        self.request_body = RequestBody(content=content, required=True)
