"""Check what a provider's folders hold and offer."""

from __future__ import annotations

from shared.connector import Connector, Provider
from shared.providers import load_connector, load_providers
from tests.conformance.subject import DECLARED, FILES, Subject, Unwritten


def test_the_folder_has_the_files_of_every_other(subject: Subject) -> None:
    there = {path.name for path in subject.folder.iterdir()} - {"__pycache__"}
    wrong = [f"{subject.at(name)} is missing. Write it." for name in FILES if name not in there]
    wrong += [
        f"{subject.at(name)} is not one of {', '.join(FILES)}. Move its contents to one of them."
        for name in sorted(there - set(FILES))
    ]
    if wrong:
        raise Unwritten("\n".join(wrong))


def test_the_folder_offers_its_data(subject: Subject) -> None:
    found = subject.provider()
    if found.slug != subject.slug:
        raise Unwritten(
            f"{subject.at('__init__.py')}: PROVIDER.slug is {found.slug!r}, but the folder is "
            f"called {subject.slug!r}. Give both the same name."
        )


def test_the_loader_finds_it(subject: Subject, provider: Provider, connector: Connector) -> None:
    assert load_providers()[subject.slug] is provider
    assert load_connector(subject.slug) is connector


def test_the_connector_has_every_method_of_the_protocol(
    subject: Subject, provider: Provider
) -> None:
    subject.connector()


def test_the_connector_holds_no_state(subject: Subject, connector: Connector) -> None:
    other = subject.new_connector()
    held = {**vars(connector), **vars(other)}
    if held:
        raise Unwritten(
            f"{subject.at('connector.py')}: {type(connector).__name__} keeps {', '.join(held)} on "
            "itself. Another process may continue the walk: keep all of that in the cursor."
        )


def test_it_is_simulated_or_says_why_not(subject: Subject, provider: Provider) -> None:
    declared = subject.declared().not_simulated
    sandbox = subject.sandbox()
    if sandbox is None and "sandbox" not in declared:
        raise Unwritten(
            f"{subject.sandbox_at} is missing: there is no sandbox. Write one (python -m "
            "deploy.provider new writes a start), or say why there is none in "
            f"{subject.at(DECLARED)}: "
            '{"not_simulated": {"sandbox": "…"}}.'
        )
    if sandbox is not None and "sandbox" in declared:
        raise Unwritten(
            f"{subject.at(DECLARED)} says that there is no sandbox, but {subject.sandbox_at} "
            "exists. Remove the line."
        )


def test_what_it_declares_can_be_declared_and_has_a_reason(
    subject: Subject, provider: Provider
) -> None:
    declared = subject.declared()
    resources = [resource.slug for resource in provider.resources]
    walks = [f"walk/{resource}" for resource in resources]
    known = {"not_simulated": ["sandbox", "scopes", "identity", "walk", *walks]}
    known["parts_overlap"] = resources
    for name, allowed in known.items():
        for key, reason in getattr(declared, name).items():
            if key not in allowed:
                raise Unwritten(
                    f"{subject.at(DECLARED)}: {name} may not hold {key!r}. It may hold: "
                    f"{', '.join(allowed)}."
                )
            if not reason.strip():
                raise Unwritten(f"{subject.at(DECLARED)}: {name}, {key}: write the reason.")
