"""The tests' clients notice an error that its operation does not declare."""

import httpx
import pytest

from services.gateway.tests.declared import addresses, at, only_declared_errors


def answered(
    path: str,
    code: str,
    *,
    status: int = 400,
    media: str = "application/problem+json",
    **sent: str,
) -> httpx.Response:
    return httpx.Response(
        status,
        json={"code": code},
        headers={"content-type": media},
        request=httpx.Request("GET", f"http://localhost{path}", headers=sent),
    )


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/v1/items", ["get_items"]),
        ("GET", "/v1/items/c/pages/a%2Fb/c", ["get_item"]),
        ("GET", "/v1/connections/none", ["get_connection"]),
        ("DELETE", "/v1/connections/none", ["delete_connection"]),
        ("POST", "/v1/connections/none/syncs", ["post_sync"]),
        ("GET", "/v1/connections/none/syncs", []),
        ("GET", "/v1/nothing", []),
        ("GET", "/", []),
    ],
)
def test_an_operation_is_found_by_method_and_path(method: str, path: str, found: list[str]) -> None:
    assert [one.handler.handler_name for one in at(method, path)] == found


def test_every_operation_is_found_at_its_own_path() -> None:
    assert len(addresses()) > 20
    for _, one in addresses():
        assert list(at(one.method.upper(), one.path)) == [one]


async def test_an_error_that_is_declared_passes() -> None:
    await only_declared_errors(answered("/v1/items", "bad_time"))
    await only_declared_errors(answered("/v1/items", "stopping", status=503))
    await only_declared_errors(answered("/v1/nothing", "not_found", status=404))


async def test_an_error_of_a_session_passes_with_a_session_only() -> None:
    await only_declared_errors(answered("/v1/items", "csrf", status=403, cookie="session=s"))
    with pytest.raises(AssertionError, match="get_items answers with 'csrf'"):
        await only_declared_errors(answered("/v1/items", "csrf", status=403))


@pytest.mark.parametrize("media", ["application/problem+json", "application/json"])
async def test_an_error_that_is_not_declared_fails_the_test_that_got_it(media: str) -> None:
    with pytest.raises(AssertionError, match="get_connections answers with 'bad_time'"):
        await only_declared_errors(answered("/v1/connections", "bad_time", media=media))


async def test_a_code_with_another_status_than_the_tables_fails_the_test_that_got_it() -> None:
    with pytest.raises(AssertionError, match="get_items answers 'bad_time' with 404"):
        await only_declared_errors(answered("/v1/items", "bad_time", status=404))
