"""Use Debian's chromium as a person does, and record what no person should ever see."""

from __future__ import annotations

import re
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    expect,
    sync_playwright,
)
from typing_extensions import override

from tests.support.product import Product
from tests.support.waiting import PATIENCE_S

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"
)
PATIENCE_MS = 1_000 * PATIENCE_S


@contextmanager
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """Hold one person's browser profile, and record what its pages, popups included, did."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        self.context: BrowserContext = browser.new_context(**options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        """Errors of the console (CSP violations are among them) and of scripts."""
        self.dialogs: list[str] = []
        self.asked: list[tuple[str, str]] = []
        """Method and URL of every request."""
        self.forms: list[Request] = []
        self.context.on("console", self._console)
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.context.on("dialog", self._dialog)
        self.context.on("request", self._request)

    def page(self, url: str) -> Page:
        page = self.context.new_page()
        page.goto(url)
        return page

    def close(self) -> None:
        self.context.close()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")

    def _dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.accept()

    def _request(self, request: Request) -> None:
        self.asked.append((request.method, request.url))
        if request.method == "POST":
            self.forms.append(request)


@contextmanager
def visit(browser: Browser, **options: Any) -> Iterator[Visit]:
    one = Visit(browser, **options)
    try:
        yield one
    finally:
        one.close()


def allow(popup: Page, account: str | None = None) -> None:
    """Decide as a person does on the sandbox's consent page; the popup has to close itself."""
    if account is not None:
        popup.locator(f"input[name=account][value='{account}']").check()
    with popup.expect_event("close"):
        popup.get_by_role("button", name="Allow").click()


@contextmanager
def served(folder: Path) -> Iterator[int]:
    """Serve the folder's files over HTTP on a free loopback port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    @override
    def log_message(self, *_: Any) -> None:
        pass


def sandbox_secrets(product: Product) -> dict[str, set[str]]:
    """Return the ``tokens`` and ``codes`` that the sandboxes have issued, as they store them."""
    found: dict[str, set[str]] = {"tokens": set(), "codes": set()}
    (path,) = (product.folder / "data").rglob("sandbox.db")
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        for space, key in db.execute("SELECT space, key FROM state"):
            kind = re.sub(r".*/", "", space)
            if kind in found:
                found[kind].add(key)
    finally:
        db.close()
    return found
