"""Serve ``GET /_sandbox``: the control API explained, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

import msgspec
from litestar import Response

from deploy.sandbox.server.bodies import limits_in_force
from deploy.sandbox.server.provider_sandbox import ProviderSandbox
from deploy.sandbox.world import Clock
from deploy.sandbox.world.pages import headers, page

CALLS: Final = (
    ("GET", "/_sandbox", None, "Shows this page; JSON unless the Accept header asks for HTML."),
    (
        "GET",
        "/_sandbox/{p}/accounts",
        None,
        ("Lists the accounts of provider p: id, name, seed, counts."),
    ),
    (
        "POST",
        "/_sandbox/{p}/accounts",
        {"name": "Orchard", "seed": 7, "counts": {"{resource}": 100}},
        (
            "Adds an account. The same seed gives the same data, and a resource that is not named "
            "is empty. Where objects may have many properties, properties says how many: a number, "
            "or one for each resource. same_data_as names an account of which this is another "
            "person, who sees the same bases or the same workspace. Answers {account_id}; "
            "repeating the request is harmless."
        ),
    ),
    (
        "POST",
        "/_sandbox/{p}/accounts/{id}/mutate",
        {"resource": "{resource}", "create": 2, "update": 3, "archive": ["{id}"]},
        (
            "Changes rows, all or nothing: updates, then archives, then creates, then merges. A "
            "number takes the oldest live rows, a list names them. merge (a list of ids, where the "
            "provider merges) makes a new row of them. references (a number, where the provider "
            "cuts long lists off) gives updated and created rows so many. odd (a number or a "
            "list) updates rows, and gives them odd values beside their content: times as "
            "numbers, names that are null. Answers the ids that were created, updated and "
            "archived."
        ),
    ),
    (
        "GET",
        "/_sandbox/{p}/accounts/{id}/ledger?resource=",
        None,
        (
            "Lists what really exists, all at once: {items: [{id, modified, archived}]}. modified "
            "is null where the provider has no such time. Without resource it lists every "
            "resource, and each item names its own."
        ),
    ),
    (
        "GET",
        "/_sandbox/{p}/requests",
        None,
        (
            "Lists the newest 50,000 requests: at (real time), method, path, query (secrets "
            "hidden, long values cut), status (null: cut off), ms, account."
        ),
    ),
    ("DELETE", "/_sandbox/{p}/requests", None, "Clears the list of requests."),
    ("GET", "/_sandbox/{p}/faults", None, "Lists the faults that are not over."),
    (
        "PUT",
        "/_sandbox/{p}/faults",
        [
            {
                "match": {"method": "GET", "path": "/v1/*"},
                "status": 503,
                "headers": {"Retry-After": "2"},
                "times": 3,
            }
        ],
        (
            "Replaces the list ([] clears it). The first fault that matches and is not over "
            "applies. Without match it applies to every call; the first calls pass it by, as many "
            "as after says. It is over after times calls, or for_s seconds of the sandbox's clock "
            "after the first call it applied to; without either it never ends. body is a string "
            "or JSON. Without status the provider answers after delay_ms. keep leaves only this "
            "share of the entries of lists in the answer (0: none), the same ones for the same "
            "seed; leave_out names entries to leave out. empty answers an empty page, whose cursor "
            "leads to the page asked for. hold keeps calls waiting until the list is replaced. "
            'drop cuts the connection: "request" before the provider sees the call, "answer" '
            "after it has acted."
        ),
    ),
    ("GET", "/_sandbox/{p}/index", None, "Says whether the search index lags."),
    (
        "PUT",
        "/_sandbox/{p}/index",
        {"lags": True, "loses": 0.1},
        (
            "Stops the search index: searches and their totals go on as things are now, whatever "
            "is created, updated or archived. loses is the share of objects that it lacks besides, "
            "drawn with seed. false brings the index up to date."
        ),
    ),
    ("GET", "/_sandbox/{p}/limits", None, "Shows the limits in force."),
    (
        "PUT",
        "/_sandbox/{p}/limits",
        {"{bucket}": {"requests": 5, "window_s": 1}, "latency_ms": 40, "off": False},
        (
            "Changes the named limits; {} restores the provider's own. off lets every call "
            "through, latency_ms delays every answer."
        ),
    ),
    ("GET", "/_sandbox/clock", None, "Shows the sandbox's time, by which codes and tokens expire."),
    (
        "POST",
        "/_sandbox/clock",
        {"advance_s": 3600},
        "Moves the time forward for all providers; rate limits are not affected.",
    ),
    ("GET", "/health/live", None, "Answers while the server runs."),
    ("GET", "/health/ready", None, "Answers once it serves."),
)
KEPT: Final = (
    "Accounts, mutations, grants, tokens and the clock are on disk before a call is answered, and "
    "survive kill -9. Faults, limits, a lagging index and the request log are lost at a restart."
)


def as_json(sandboxes: Mapping[str, ProviderSandbox], clock: Clock) -> dict[str, Any]:
    return {
        "clock": clock.iso(),
        "kept": KEPT,
        "providers": {slug: _provider(sandbox) for slug, sandbox in sandboxes.items()},
        "calls": [
            {"method": method, "path": path, "body": body, "does": does}
            for method, path, body, does in CALLS
        ],
    }


def _provider(sandbox: ProviderSandbox) -> dict[str, Any]:
    return {
        "base": f"/{sandbox.slug}",
        "resources": sandbox.world.simulated.resources,
        "default_account": sandbox.world.simulated.default.id,
        "limits": limits_in_force(sandbox.world.limiter),
    }


def as_page(sandboxes: Mapping[str, ProviderSandbox], clock: Clock) -> Response[bytes]:
    providers = "".join(_provider_row(slug, sandbox) for slug, sandbox in sandboxes.items())
    calls = "".join(_call(*call) for call in CALLS)
    body = (
        '<span class="mark">Simulated</span><h1>Sandbox control</h1>'
        f"<p>The sandbox stands in for the providers below. {escape(KEPT)}</p>"
        f"<p>Its time is <code>{clock.iso()}</code>.</p>"
        f"<h2>Providers</h2><ul>{providers or '<li>none</li>'}</ul>"
        '<p>Errors are <code>{"detail": "…"}</code>: what is wrong, and what to do.</p>'
        f"<h2>Calls</h2><dl>{calls}</dl>"
    )
    return Response(
        page("Sandbox control", body, wide=True), media_type="text/html", headers=headers()
    )


def _provider_row(slug: str, sandbox: ProviderSandbox) -> str:
    simulated = sandbox.world.simulated
    resources = ", ".join(map(escape, simulated.resources))
    return (
        f"<li><strong>{escape(slug)}</strong> at <code>/{escape(slug)}</code>: {resources}; "
        f"limits {', '.join(map(escape, sandbox.world.limiter.limits)) or 'none'}; "
        f"default account <code>{escape(simulated.default.id)}</code></li>"
    )


def _call(method: str, path: str, body: object, does: str) -> str:
    example = f"<pre>{escape(msgspec.json.encode(body).decode())}</pre>" if body is not None else ""
    return f"<dt><code>{method} {escape(path)}</code></dt><dd>{escape(does)}{example}</dd>"
