"""What every provider's sandbox needs once: accounts, ledger, limits, clock, durable state, the consent page."""

from shared.sandbox.clock import Clock
from shared.sandbox.consent import chosen_account, consent_page, redirect
from shared.sandbox.limits import Limit, Limiter
from shared.sandbox.shapes import Account, Archives, Client, Code, Row, Simulated, Token
from shared.sandbox.store import DurableMap, Store
from shared.sandbox.world import World

__all__ = [
    "Account",
    "Archives",
    "Client",
    "Clock",
    "Code",
    "DurableMap",
    "Limit",
    "Limiter",
    "Row",
    "Simulated",
    "Store",
    "Token",
    "World",
    "chosen_account",
    "consent_page",
    "redirect",
]
