"""Keep what every provider's sandbox needs: accounts, ledger, limits, clock, state and pages."""

from deploy.sandbox.world.clock import Clock
from deploy.sandbox.world.consent import chosen_account, consent_page, redirect
from deploy.sandbox.world.draws import drawn
from deploy.sandbox.world.limits import Limit, Limiter
from deploy.sandbox.world.links import link_with, query_with, root_of
from deploy.sandbox.world.record_page import ShownRecord, record_page
from deploy.sandbox.world.shapes import (
    Archives,
    AuthorizationCode,
    InsertedCursor,
    OddValues,
    Pages,
    Refuses,
    Rows,
    SandboxAccount,
    SandboxClient,
    SandboxRow,
    Simulated,
    Token,
)
from deploy.sandbox.world.store import DurableMap, Store
from deploy.sandbox.world.world import World

__all__ = [
    "Archives",
    "AuthorizationCode",
    "Clock",
    "DurableMap",
    "InsertedCursor",
    "Limit",
    "Limiter",
    "OddValues",
    "Pages",
    "Refuses",
    "Rows",
    "SandboxAccount",
    "SandboxClient",
    "SandboxRow",
    "ShownRecord",
    "Simulated",
    "Store",
    "Token",
    "World",
    "chosen_account",
    "consent_page",
    "drawn",
    "link_with",
    "query_with",
    "record_page",
    "redirect",
    "root_of",
]
