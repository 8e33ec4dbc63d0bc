"""Check that an account is the same at every consent, and another account is not."""

from __future__ import annotations

from shared.connector import Provider
from tests.conformance.sandbox import Connected, SandboxClientApp
from tests.conformance.subject import Subject, Unwritten
from tests.conformance.suite.conftest import ACCOUNT, simulated


def test_an_account_of_the_sandbox_is_connected(attempt: tuple[str, Connected] | Unwritten) -> None:
    if isinstance(attempt, Unwritten):
        raise attempt


async def test_a_second_consent_is_the_same_account(
    subject: Subject, provider: Provider, app: SandboxClientApp, connected: tuple[str, Connected]
) -> None:
    simulated(subject, "identity")
    account, first = connected
    again = await app.connect(account)
    if again.who != first.who:
        raise Unwritten(
            f"{subject.at('__init__.py')}: two consents for one account are known as {first.who} "
            f"and {again.who}. Name in identity.account_id what stays the same "
            f"(now: {', '.join(provider.oauth.identity.account_id)}); otherwise every consent "
            "makes another connection."
        )


async def test_another_account_is_another_one(
    subject: Subject, provider: Provider, app: SandboxClientApp, connected: tuple[str, Connected]
) -> None:
    """Give both the same name: people may go by it, but programs must not."""
    simulated(subject, "identity")
    other = await app.connect(await app.new_account(ACCOUNT, seed=13))
    if other.who.account_id == connected[1].who.account_id:
        raise Unwritten(
            f"{subject.at('__init__.py')}: two accounts are both known as "
            f"{other.who.account_id!r}. Name in identity.account_id what only one account has "
            f"(now: {', '.join(provider.oauth.identity.account_id)})."
        )


def test_an_account_has_a_name(
    subject: Subject, provider: Provider, connected: tuple[str, Connected]
) -> None:
    simulated(subject, "identity")
    if not (connected[1].who.account_name or "").strip():
        raise Unwritten(
            f"{subject.at('__init__.py')}: nothing is found at identity.account_name "
            f"({', '.join(provider.oauth.identity.account_name)}). Name a field that a person "
            "knows the account by."
        )
