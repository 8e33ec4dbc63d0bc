"""Prove that the suite bites: each provider here has one flaw, and is told what to write."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from shared.providers import load_providers
from tests.conformance import guide
from tests.conformance.run import SUITE, Outcome, run


class Folders:
    """Change the files of one provider that is complete and passes."""

    def __init__(self, slug: str, root: Path) -> None:
        self.slug = slug
        self.shared = root / "shared" / "providers" / slug
        self.sandbox = root / "deploy" / "sandbox" / "providers" / slug

    def declare(self, text: str) -> None:
        (self.shared / "tests" / "conformance.json").write_text(text)

    def connector(self, *changes: tuple[str, str]) -> None:
        replace(self.shared / "connector.py", *changes)

    def data(self, *changes: tuple[str, str]) -> None:
        replace(self.shared / "__init__.py", *changes)


def replace(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text("utf-8")
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    file.write_text(text, "utf-8")


def _whole(folders: Folders) -> None:
    assert (folders.shared / "connector.py").exists()


def _empty_class(folders: Folders) -> None:
    (folders.shared / "connector.py").write_text("class Empty: ...\n\nCONNECTOR = Empty()\n")


def _other_shape(folders: Folders) -> None:
    folders.connector(("ids: tuple[str, ...]) -> Lookup", "*ids: str) -> Lookup"))


def _no_sandbox(folders: Folders) -> None:
    shutil.rmtree(folders.sandbox)


def _says_why(folders: Folders) -> None:
    shutil.rmtree(folders.sandbox)
    folders.declare('{"not_simulated": {"sandbox": "It is made of punched cards."}}')


def _odd_exception(folders: Folders) -> None:
    folders.declare('{"not_simulated": {"weather": "It rains."}}')


def _no_reason(folders: Folders) -> None:
    folders.declare('{"not_simulated": {"walk/companies": " "}}')


def _forgets_its_cursor(folders: Folders) -> None:
    folders.connector(("Walk.from_cursor(place.cursor)", "Walk()"))


def _keeps_its_place(folders: Folders) -> None:
    reads = "        records, rejected = read_companies(found.companies)\n"
    folders.connector(
        ("walk = Walk.from_cursor(place.cursor)", "walk = self.kept if place.cursor else Walk()"),
        ("Connector(Uncounted):\n", "Connector(Uncounted):\n    kept = Walk()\n\n"),
        (reads, f"        self.kept = Walk(after=found.next)\n{reads}"),
    )


def _wrong_scope(folders: Folders) -> None:
    folders.data(("            scopes=(READ_COMPANIES,),", '            scopes=("company.read",),'))


def _unknown_scope(folders: Folders) -> None:
    folders.data(('Final = "companies.read"', 'Final = "company.read"'))


def _ends_at_an_error(folders: Folders) -> None:
    reads = "        found = read_page((await call(_list(resource, params))).body)\n"
    caught = f"        try:\n    {reads}        except RetryLater:\n"
    folders.connector(
        (reads, f"{caught}            return Page(records=[], cursor=None)\n"),
        ("    Response,\n", "    Response,\n    RetryLater,\n"),
    )


def _gives_up_a_page(folders: Folders) -> None:
    replace(
        folders.shared / "mapping.py",
        ("raise RetryLater(reason, code=MALFORMED_PAGE)", "raise Reject(reason)"),
        ("MALFORMED_PAGE, Record, Rejected, RetryLater", "Record, Reject, Rejected"),
    )


def _fails_on_a_list(folders: Folders) -> None:
    replace(
        folders.shared / "problems.py",
        ('body.get("message") if isinstance(body, dict) else None', 'body.get("message")'),
    )


def _another_bucket(folders: Folders) -> None:
    folders.connector(('buckets=("requests",)', 'buckets=("calls",)'))


def _another_identity(folders: Folders) -> None:
    folders.data(('account_id=("identity.id",)', 'account_id=("token.grant",)'))
    kind = '        "token_type": "Bearer",\n'
    replace(folders.sandbox / "oauth.py", (kind, f'{kind}        "grant": grant,\n'))


BROKEN: Final[dict[str, Callable[[Folders], None]]] = {
    change.__name__.replace("_", ""): change
    for change in (
        _whole,
        _empty_class,
        _other_shape,
        _no_sandbox,
        _says_why,
        _odd_exception,
        _no_reason,
        _forgets_its_cursor,
        _keeps_its_place,
        _wrong_scope,
        _unknown_scope,
        _ends_at_an_error,
        _gives_up_a_page,
        _fails_on_a_list,
        _another_bucket,
        _another_identity,
    )
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Run the suite over all of them; what loads whole accounts only over the one that is right."""
    root = tmp_path_factory.mktemp("broken")
    for slug, change in BROKEN.items():
        guide.write_provider(slug, root)
        change(Folders(slug, root))
    whole, *broken = BROKEN
    first, others = run([whole], root=root), run(broken, root=root, loads=False)
    return first.with_others(others)


def only_failure(outcome: Outcome) -> str:
    assert len(outcome.failed) == 1, outcome.output
    return outcome.told


def waits(outcome: Outcome, check: str) -> bool:
    return f"waits for {check}" in " ".join(outcome.skipped.values())


def test_the_provider_of_the_guide_passes_and_nothing_is_skipped(outcome: Outcome) -> None:
    whole = outcome.of("whole")
    assert whole.failed == {}, outcome.output
    assert whole.skipped == {}
    assert len(whole.passed) > 50


def test_a_connector_that_is_an_empty_class_is_told_each_method(outcome: Outcome) -> None:
    empty = outcome.of("emptyclass")
    told = only_failure(empty)
    assert "shared/providers/emptyclass/connector.py: Empty has no page(). Write `async def" in told
    assert "place: Place) -> Page`: Read the page at ``place``" in told
    for method in ("parts", "schema", "count", "list_ids", "read", "problem", "limits"):
        assert f"Empty has no {method}(). Write `" in told
    assert waits(empty, "test_the_connector_has_every_method_of_the_protocol")


def test_a_method_that_takes_something_else_is_told_its_shape(outcome: Outcome) -> None:
    told = outcome.of("othershape").told
    assert "OthershapeConnector has a read(call: Call, resource: str, *ids: str)" in told


def test_a_provider_without_a_sandbox_is_told_to_write_one_or_to_say_why_not(
    outcome: Outcome,
) -> None:
    told = only_failure(outcome.of("nosandbox"))
    assert "deploy/sandbox/providers/nosandbox/ is missing: there is no sandbox. Write one" in told
    assert "say why there is none in shared/providers/nosandbox/tests/conformance.json" in told
    assert '{"not_simulated": {"sandbox": "…"}}' in told
    assert waits(outcome.of("nosandbox"), "test_it_is_simulated_or_says_why_not")


def test_a_provider_that_says_why_it_has_no_sandbox_passes_what_is_recorded(
    outcome: Outcome,
) -> None:
    alone = outcome.of("sayswhy")
    assert alone.failed == {}, outcome.output
    assert set(alone.skipped.values()) == {"not simulated: It is made of punched cards."}
    passed, skipped = " ".join(alone.passed), " ".join(alone.skipped)
    for check in ("every_method", "documented", "recorded_walk", "read_from_the_headers", "https"):
        assert check in passed
    for check in ("every_readable", "every_cursor", "second_consent", "known_to_the_sandbox"):
        assert check in skipped


def test_an_exception_without_a_reason_or_of_no_such_kind_is_refused(outcome: Outcome) -> None:
    told = only_failure(outcome.of("oddexception"))
    assert "not_simulated may not hold 'weather'. It may hold: sandbox, scopes, identity" in told
    assert "walk/companies: write the reason." in only_failure(outcome.of("noreason"))


def test_a_walk_that_forgets_its_cursor_is_told_to_read_on_at_it(outcome: Outcome) -> None:
    told = outcome.of("forgetsitscursor").told
    assert "connector.py: the walk over companies comes to the same cursor twice" in told
    assert "Let page() send `place.cursor` to the provider, and return the cursor of the" in told
    assert waits(outcome.of("forgetsitscursor"), "test_a_walk_comes_to_its_end")


def test_a_walk_that_keeps_its_place_on_the_connector_is_told_to_use_the_cursor(
    outcome: Outcome,
) -> None:
    told = only_failure(outcome.of("keepsitsplace"))
    assert "a new connector that resumes at the cursor before page 2 of companies gives" in told
    assert "Read everything that a walk knows from `place`, and keep nothing on self" in told


def test_a_scope_with_a_wrong_name_is_told_where_to_correct_it(outcome: Outcome) -> None:
    told = only_failure(outcome.of("wrongscope"))
    assert "providers/wrongscope/__init__.py: companies needs the scope 'company.read'" in told
    assert "Correct its name, or add it to oauth.scopes (now: companies.read)." in told


def test_a_scope_that_the_sandbox_does_not_know_is_told_to_be_unknown(outcome: Outcome) -> None:
    told = outcome.of("unknownscope").told
    assert "the scope 'company.read' of oauth.scopes is not one that the sandbox knows." in told
    assert "to SCOPES in deploy/sandbox/providers/unknownscope/ (now: companies.read)." in told


def test_a_walk_that_ends_at_an_error_is_told_to_pass_it_on(outcome: Outcome) -> None:
    told = outcome.of("endsatanerror").told
    assert "finds no network, the walk ends as if there were no more objects." in told


def test_a_page_that_is_given_up_for_its_shape_is_told_to_try_again(outcome: Outcome) -> None:
    told = only_failure(outcome.of("givesupapage"))
    assert "ends the part (" in told
    assert 'Raise RetryLater("…", code="malformed_page").' in told


def test_a_classification_that_trusts_a_body_is_told_what_may_come(outcome: Outcome) -> None:
    told = outcome.of("failsonalist").told
    assert "problems.py: problem() fails on “status 400, None” with AttributeError" in told
    assert "Take nothing in a body for granted" in told


def test_a_call_that_names_no_bucket_of_the_provider_is_told_which_there_are(
    outcome: Outcome,
) -> None:
    told = outcome.of("anotherbucket").told
    assert "`GET /v1/companies` names the buckets calls. Name those" in told
    assert "of PROVIDER.buckets: requests." in told


def test_an_identity_that_changes_with_each_consent_is_told_to_name_another_field(
    outcome: Outcome,
) -> None:
    told = only_failure(outcome.of("anotheridentity"))
    assert "Name in identity.account_id what stays the same (now: token.grant)" in told


def test_every_failure_says_in_which_file_to_write(outcome: Outcome) -> None:
    assert len(outcome.failed) > len(BROKEN) / 2
    for slug in BROKEN:
        for sentence in outcome.of(slug).failed.values():
            assert f"providers/{slug}/" in sentence.partition(" ")[0]


def test_the_suite_names_no_provider() -> None:
    text = "".join(path.read_text("utf-8").lower() for path in SUITE.parent.rglob("*.py"))
    assert [slug for slug in load_providers() if slug in text] == []
