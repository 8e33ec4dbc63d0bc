"""Names from providers reach a page only through the template's escaping."""

import re

import pytest

from tests.structure.tree import name, product_files, text

# innerHTML and its like are the browser's way round the same rule.
ESCAPES = re.compile(
    r"\|\s*safe\b|\bMarkup\(|autoescape\s*=\s*False|autoescape\s+false"
    r"|\b(inner|outer)HTML\s*\+?=|insertAdjacentHTML|document\.write\("
)
PAGES = (".py", ".html", ".j2", ".jinja", ".js", ".mjs", ".svg")


def test_no_page_goes_round_the_escaping() -> None:
    found = [
        f"{name(path)}:{number} {line.strip()}"
        for path in product_files(*PAGES)
        for number, line in enumerate(text(path).splitlines(), start=1)
        if ESCAPES.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "{{ item.name|safe }}",
        "{{ x | safe }}",
        "Markup(name)",
        "Environment(autoescape=False)",
        "a.innerHTML = b",
    ],
)
def test_a_way_round_the_escaping_is_found(line: str) -> None:
    assert ESCAPES.search(line)


@pytest.mark.parametrize(
    "line", ["{{ item.name }}", "safe = True", "Environment(autoescape=True)", "a.textContent = b"]
)
def test_ordinary_markup_is_not_found(line: str) -> None:
    assert not ESCAPES.search(line)
