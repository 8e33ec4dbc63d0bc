"""List believable values, and values that break careless code."""

from __future__ import annotations

from typing import Final


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST: Final = _words(
    """Lea Amara Jonas Mei Priya Tomás Sofia Yusuf Ines Oskar Chloe Malik Hana Diego Freya Kwame
    Elif Mateo Aoife Ravi Nora Luca Zanele Emil Noor Paula Hugo Ingrid Samir Alma Viktor Leila Owen
    Mariam Felix Rosa Daniel Keiko Anton"""
)
LAST: Final = _words(
    """Marlow Okafor Lindqvist Tanaka Ferreira Novak O’Brien Haddad Kowalski Santos Nguyen Weiss
    Moreau Iyer Castillo Berg Adeyemi Rossi Papadakis Dubois Sørensen Yılmaz Cohen Petrov Silva
    Hughes Morales Schneider Eriksen Kaya Duarte Mbeki Larsen Fontaine Gupta Romero Walsh Jansen
    Horváth Quispe"""
)
HEADS: Final = _words(
    """Northwind Bluepeak Harbor Silverlake Ironwood Brightline Cedar Summit Lumen Maple Redstone
    Cobalt Juniper Beacon Kestrel Alder Granite Willow Meridian Falcon Tidewater Orchard Pioneer
    Larkspur Copper Highland"""
)
TAILS: Final = _words(
    """Logistics Foods Software Health Robotics Partners Studios Energy Furniture Textiles Analytics
    Travel Outfitters Instruments Bakery Architects Media Freight Optics Labs Insurance Tools Coffee
    Marine"""
)
FORMS: Final = ("Inc.", "GmbH", "Ltd", "AB", "SARL", "LLC", "Co.", "")
PLACES: Final = tuple(
    tuple(town.split("|"))
    for town in (
        "Boston|Massachusetts|02110|United States|America/New_York",
        "Austin|Texas|78701|United States|America/Chicago",
        "Berlin|Berlin|10115|Germany|Europe/Berlin",
        "Lyon|Auvergne-Rhône-Alpes|69002|France|Europe/Paris",
        "Dublin|Leinster|D02|Ireland|Europe/Dublin",
        "Porto|Porto|4000-001|Portugal|Europe/Lisbon",
        "Malmö|Skåne|211 20|Sweden|Europe/Stockholm",
        "Osaka|Osaka|530-0001|Japan|Asia/Tokyo",
        "Nairobi|Nairobi County|00100|Kenya|Africa/Nairobi",
        "São Paulo|SP|01000-000|Brazil|America/Sao_Paulo",
        "Toronto|Ontario|M5H 2N2|Canada|America/Toronto",
        "Pune|Maharashtra|411001|India|Asia/Kolkata",
    )
)
STREETS: Final = (
    "Mill Lane",
    "Station Road",
    "Harbour Street",
    "Elm Avenue",
    "Market Square",
    "Queen Street",
    "Canal Walk",
)
TITLES: Final = (
    "Head of Operations",
    "Buyer",
    "CTO",
    "Founder",
    "Office Manager",
    "Product Lead",
    "Analyst",
    "Sales Director",
)
PLANS: Final = (
    "renewal",
    "annual plan",
    "pilot",
    "expansion",
    "new site",
    "upgrade",
    "support contract",
    "rollout",
)

NOTES: Final = (
    "Asked for a quote before the end of the quarter.",
    "Met at the trade fair; wants a call in spring.",
    "Second site opens next year.",
    "Prefers e-mail. Invoice goes to head office.",
    "Budget was cut, try again later.",
)

NASTY: Final = (
    "<img src=x onerror=alert(1)>",
    '=HYPERLINK("http://example.test","Open")',
    "شركة النور للتجارة",
    "invoice\u202efdp.exe",
    "Café 🚀 & Söhne 👩‍👩‍👧",
    "'; DROP TABLE contacts;--",
    "  spaced   out  ",
    "{{7*7}} ${7*7} <script>alert(1)</script>",
    "+1-800-CALL\tME\nNOW",
    "חברת אלון בע״מ",
    "Ẑ̵̢̛a̷͓̋l̶̰̈g̴̩̃o̸",
    "N" * 300,
    "null",
    "-1+1",
)
LONG: Final = ("A long note with <b>markup</b> & “quotes”. " * 250)[:10_240]
