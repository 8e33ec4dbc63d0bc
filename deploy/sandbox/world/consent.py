"""Render the consent page of every sandbox, and read its form's decision."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from urllib.parse import urlencode, urlsplit

from litestar import Response
from litestar.response import Redirect

from deploy.sandbox.world.pages import headers, page
from deploy.sandbox.world.shapes import SandboxAccount
from deploy.sandbox.world.world import World
from shared.errors import BadRequest


def consent_page(
    world: World,
    *,
    provider: str,
    scopes: tuple[str, ...],
    known_as: Callable[[SandboxAccount], str] = lambda account: account.id,
) -> Response[bytes]:
    """Return a page whose form posts ``decision`` and ``account`` to the page's own URL.

    ``known_as`` tells what the provider's answers call an account, if that is not its id: a
    connection shows the same.
    """
    choices = "".join(
        _choice(account, known_as(account), n) for n, account in enumerate(world.accounts.values())
    )
    asked = "".join(f"<li><code>{escape(scope)}</code></li>" for scope in scopes)
    body = (
        f'<span class="mark">Simulated</span><h1>Connect to {escape(provider)}</h1>'
        f"<p>This page stands in for {escape(provider)}: no real account is touched. "
        f"The app <code>{escape(world.client.id)}</code> asks for:</p>"
        f"<ul>{asked or '<li>read access to what you choose to share</li>'}</ul>"
        '<form method="post"><fieldset><legend>Which account?</legend>'
        f'<div class="choices">{choices}</div></fieldset>'
        '<div class="do"><button name="decision" value="allow">Allow</button>'
        '<button name="decision" value="deny">Deny</button></div></form>'
    )
    callbacks = [urlsplit(uri) for uri in world.client.redirect_uris]
    targets = (*(f"{uri.scheme}://{uri.netloc}" for uri in callbacks), *world.client.return_origins)
    return Response(
        page(f"{provider} (simulated)", body), media_type="text/html", headers=headers(targets)
    )


def _choice(account: SandboxAccount, known_as: str, position: int) -> str:
    total = sum(account.counts.values())
    mark = "" if position else " checked"
    return (
        f'<label><input type="radio" name="account" value="{escape(account.id)}"{mark}><span>'
        f"{escape(account.name)} <small>{total:,} objects · "
        f"<code>{escape(known_as)}</code></small></span></label>"
    )


def chosen_account(world: World, form: dict[str, str]) -> SandboxAccount | None:
    """Return the account of an allowed consent (the default one if none is named), None if denied.

    Raises:
        BadRequest: ``decision`` is neither allow nor deny, or ``account`` is not the id or name of
            exactly one account.
    """
    decision = form.get("decision")
    if decision not in {"allow", "deny"}:
        raise BadRequest(
            "decision must be allow or deny: send the form's fields, decision and account"
        )
    if decision == "deny":
        return None
    name = form.get("account") or world.simulated.default.id
    if name in world.accounts:
        return world.accounts[name]
    called = [account for account in world.accounts.values() if account.name == name]
    if len(called) != 1:
        raise BadRequest(f"{len(called)} accounts are called {name!r} here: use the id of one")
    return called[0]


def redirect(uri: str, params: dict[str, str]) -> Redirect:
    """Return a 302 to ``uri`` with ``params`` added to its query."""
    return Redirect(f"{uri}{'&' if '?' in uri else '?'}{urlencode(params)}", status_code=302)
