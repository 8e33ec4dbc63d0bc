def asyncapi_document(bootstrap: str) -> dict[str, object]:
    return {"asyncapi": "3.0.0"}
