"""Run each check once for every provider, or for those that ``--provider`` names.

``--providers-in DIR`` finds providers in DIR/shared/providers and DIR/deploy/sandbox/providers too.
A check that depends on another one is skipped, and names it, until that one passes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from deploy.sandbox.providers import SandboxModule
from shared.connector import Connector, Interruption, Page, Provider
from shared.http import HttpClient
from tests.conformance.calls import Read, SandboxCall, interrupted, reads_of
from tests.conformance.recorded import Answer, Case
from tests.conformance.sandbox import Connected, SandboxClientApp, Sandboxes, served
from tests.conformance.subject import Subject, Unwritten, search_in, subjects

T = TypeVar("T")
Ledger = Callable[[str], Awaitable[set[str]]]
ACCOUNT: Final = "Conformance"
"""The name of the account that the walks read."""
HERE: Final = Path(__file__).parent
ORDER: Final = (
    "test_folder",
    "test_data",
    "test_refusals",
    "test_limits",
    "test_items",
    "test_identity",
    "test_walk",
    "test_expiry",
    "test_parts",
)
Accounts = dict[str, tuple[str, Connected] | Unwritten]
Walks = dict[tuple[str, str], list[Read] | Unwritten]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--provider", action="append", help="a slug to check (default: all)")
    group.addoption("--providers-in", action="append", help="another tree with providers in it")


def pytest_configure(config: pytest.Config) -> None:
    for root in config.getoption("--providers-in", default=None) or ():
        search_in(Path(root))
    _chosen(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a check for each provider, or for each of a provider's resources, answers or cases."""
    if "subject" not in metafunc.fixturenames:
        return
    chosen = _chosen(metafunc.config)
    for name, parts in (("resource", _resources), ("answer", _answers), ("case", _cases)):
        if name in metafunc.fixturenames:
            rows = [(subject, part) for subject in chosen for part in parts(subject)]
            ids = [f"{subject.slug}: {_called(part)}" for subject, part in rows]
            metafunc.parametrize(("subject", name), rows, ids=ids)
            return
    metafunc.parametrize("subject", chosen, ids=[subject.slug for subject in chosen])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run first the checks that others depend on, so that an author can read from the top."""
    places = [n for n, item in enumerate(items) if item.path.parent == HERE]
    ordered = sorted((items[n] for n in places), key=lambda item: ORDER.index(item.path.stem))
    for n, item in zip(places, ordered, strict=True):
        items[n] = item


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Iterator[None]:
    """Show the author the sentence, not our traceback."""
    try:
        return (yield)
    except Unwritten as unwritten:
        sentence = str(unwritten)
    pytest.fail(sentence, pytrace=False)


@pytest.fixture
def provider(subject: Subject) -> Provider:
    return waiting_for("test_the_folder_offers_its_data", subject.provider)


@pytest.fixture
def connector(subject: Subject, provider: Provider) -> Connector:
    return waiting_for("test_the_connector_has_every_method_of_the_protocol", subject.connector)


@pytest.fixture
def recorded(subject: Subject) -> list[Answer]:
    """Return the recorded answers of the provider."""
    return waiting_for("test_its_answers_are_recorded", subject.answers)


@pytest.fixture
def walks_recorded(subject: Subject) -> list[Case]:
    return waiting_for("test_its_walks_are_recorded", subject.cases)


@pytest.fixture
def sandbox(subject: Subject, provider: Provider) -> SandboxModule:
    """Return the simulated provider; skip with the reason where there is none."""
    simulated(subject, "sandbox")
    found = waiting_for("test_it_is_simulated_or_says_why_not", subject.sandbox)
    if found is None:
        pytest.skip("waits for test_it_is_simulated_or_says_why_not")
    return found


@pytest.fixture(scope="session")
def sandboxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandboxes]:
    """Serve all simulated providers that can be imported."""
    modules: dict[str, SandboxModule] = {}
    for subject in subjects():
        with suppress(Unwritten):
            module = subject.sandbox()
            if module is not None:
                modules[subject.slug] = module
    with served(tmp_path_factory.mktemp("sandboxes"), modules) as running:
        yield running


@pytest.fixture(scope="session")
def accounts() -> Accounts:
    """Hold, by slug, the account that the walks read, or why it could not be connected."""
    return {}


@pytest.fixture(scope="session")
def walks() -> Walks:
    """Hold, by slug and resource, what an undisturbed walk read, or why it read nothing."""
    return {}


@pytest.fixture
async def app(
    subject: Subject, sandbox: SandboxModule, sandboxes: Sandboxes
) -> AsyncIterator[SandboxClientApp]:
    """Return our app at the sandbox, with rate limits off."""
    http = HttpClient()
    opened = SandboxClientApp(subject, sandboxes, http)
    await opened.control("PUT", "/limits", {"off": True})
    yield opened
    await http.aclose()


@pytest.fixture
async def attempt(
    subject: Subject, app: SandboxClientApp, accounts: Accounts
) -> tuple[str, Connected] | Unwritten:
    """Connect an account, once for each provider; return it, or why that failed."""
    if subject.slug not in accounts:
        account = await app.new_account(ACCOUNT)
        try:
            accounts[subject.slug] = account, await app.connect(account)
        except Unwritten as unwritten:
            accounts[subject.slug] = unwritten
    return accounts[subject.slug]


@pytest.fixture
def connected(attempt: tuple[str, Connected] | Unwritten) -> tuple[str, Connected]:
    if isinstance(attempt, Unwritten):
        pytest.skip("waits for test_an_account_of_the_sandbox_is_connected")
    return attempt


@pytest.fixture
def call(
    subject: Subject,
    app: SandboxClientApp,
    connector: Connector,
    connected: tuple[str, Connected],
) -> SandboxCall:
    return SandboxCall(subject, app.http, app.runtime.api_url, connected[1].access_token)


@pytest.fixture
def ledger(app: SandboxClientApp, connected: tuple[str, Connected]) -> Ledger:
    """Return a function that gives the ids of a resource that a walk has to find."""
    return partial(app.readable, connected[0])


@pytest.fixture
async def tried_walk(
    subject: Subject, resource: str, call: SandboxCall, walks: Walks
) -> list[Read] | Unwritten:
    """Walk a resource once; return its pages and places, or why that failed."""
    simulated(subject, "walk")
    simulated(subject, f"walk/{resource}")
    key = subject.slug, resource
    if key not in walks:
        try:
            walks[key] = await reads_of(subject, call, resource)
        except Unwritten as unwritten:
            walks[key] = unwritten
        except Interruption as error:
            walks[key] = interrupted(subject, resource, error)
    return walks[key]


@pytest.fixture
def reads(tried_walk: list[Read] | Unwritten) -> list[Read]:
    if isinstance(tried_walk, Unwritten):
        pytest.skip("waits for test_a_walk_comes_to_its_end")
    return tried_walk


@pytest.fixture
def pages(reads: list[Read]) -> list[Page]:
    return [read.page for read in reads]


def waiting_for(check: str, ask: Callable[[], T]) -> T:
    """Return what ``ask`` returns; skip if it fails, since ``check`` already says why."""
    try:
        return ask()
    except Unwritten:
        pytest.skip(f"waits for {check}")


def simulated(subject: Subject, what: str) -> None:
    """Skip, with the reason, a check that the provider declares as not simulated."""
    with suppress(Unwritten):
        reason = subject.declared().not_simulated.get(what)
        if reason:
            pytest.skip(f"not simulated: {reason}")


def _chosen(config: pytest.Config) -> list[Subject]:
    found = subjects()
    asked = config.getoption("--provider", default=None)
    if not asked:
        return found
    unknown = set(asked) - {subject.slug for subject in found}
    if unknown:
        known = ", ".join(subject.slug for subject in found)
        raise pytest.UsageError(
            f"there is no provider {', '.join(sorted(unknown))}; choose from: {known}"
        )
    return [subject for subject in found if subject.slug in asked]


def _resources(subject: Subject) -> list[Any]:
    with suppress(Unwritten):
        return [resource.slug for resource in subject.provider().resources]
    return []


def _answers(subject: Subject) -> list[Any]:
    with suppress(Unwritten):
        return list(subject.answers())
    return []


def _cases(subject: Subject) -> list[Any]:
    with suppress(Unwritten):
        return list(subject.cases())
    return []


def _called(part: Any) -> str:
    return part if isinstance(part, str) else str(part.case)
