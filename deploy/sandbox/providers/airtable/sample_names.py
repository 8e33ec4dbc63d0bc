"""List the words that simulated tables are made of, and texts that trip up careless readers."""

from __future__ import annotations

from typing import Final

LONG: Final = "A note that nobody shortened. " * 342
NASTY: Final = (
    "<img src=x onerror=alert(1)>",
    '=HYPERLINK("http://example.invalid","Click me")',
    "@SUM(A1:A9)|cmd",
    "שלום עולם",
    "مزرعة التفاح",
    "invoice\u202egnp.exe",
    "🍎🌳 Apfelbaum 👩‍🌾",
    "\"quoted\", 'single' \\ {braces}",
    "line one\nline two\ttabbed",
    "   ",
    "null",
    "O'Brien & Söhne <GmbH>",
    LONG,
)
FIRST: Final = [
    "Ada",
    "Bruno",
    "Chiara",
    "Dmitri",
    "Emeka",
    "Fatima",
    "Greta",
    "Hiro",
    "Ines",
    "Jonas",
    "Kofi",
    "Lena",
    "Maya",
    "Noor",
    "Oskar",
    "Priya",
]
LAST: Final = [
    "Abbott",
    "Bauer",
    "Costa",
    "Diallo",
    "Eriksen",
    "Fischer",
    "Garcia",
    "Haddad",
    "Ivanova",
    "Jensen",
    "Kimura",
    "Lopez",
    "Moreau",
    "Nakamura",
]
FRUIT: Final = [
    "Bramley",
    "Cox",
    "Discovery",
    "Elstar",
    "Fuji",
    "Gala",
    "Honeycrisp",
    "Idared",
    "Jonagold",
    "Katy",
    "Laxton",
    "Melrose",
]
VERB: Final = [
    "Rework",
    "Ship",
    "Measure",
    "Draft",
    "Review",
    "Translate",
    "Simplify",
    "Test",
    "Publish",
    "Retire",
]
THING: Final = [
    "onboarding",
    "search page",
    "price list",
    "export",
    "sign-in",
    "press kit",
    "newsletter",
    "sprayer",
    "cold store",
    "web shop",
]
TOWN: Final = [
    "Bergen",
    "Como",
    "Dublin",
    "Essen",
    "Faro",
    "Ghent",
    "Hull",
    "Izmir",
    "Jena",
    "Kyoto",
    "Lyon",
    "Malmö",
]
