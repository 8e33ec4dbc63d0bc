from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from deploy.sandbox.world import (
    AuthorizationCode,
    Clock,
    SandboxAccount,
    SandboxRow,
    Store,
    Token,
    World,
)
from deploy.sandbox.world.tests.plums import CLIENT, Baskets, Plums
from shared.errors import BadRequest, NotFound

Opened = Callable[..., World]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Yield a function that opens the same file again, as a restart does."""
    with ExitStack() as stack:

        def world_of(simulated: Plums | None = None) -> World:
            store = stack.enter_context(closing(Store(tmp_path / "sandbox.db")))
            return World(simulated or Plums(), store, Clock(store), CLIENT)

        yield world_of


@pytest.fixture
def world(opened: Opened) -> World:
    return opened()


def live(world: World, resource: str = "plums") -> list[str]:
    return [row.id for row in world.rows("acc-1", resource).values() if not row.archived]


def test_the_same_seed_gives_the_same_rows(world: World) -> None:
    one, two = world.add_account("a", 3, {"plums": 4}), world.add_account("b", 3, {"plums": 4})
    assert list(world.rows(one.id, "plums").values()) == list(world.rows(two.id, "plums").values())


def test_a_resource_that_a_new_account_does_not_name_is_empty(world: World) -> None:
    account = world.add_account("a", 3, {"plums": 4})
    assert world.rows(account.id, "baskets") == {}


def test_asking_twice_for_the_same_account_is_one_account(world: World) -> None:
    assert world.add_account("a", 3, {"plums": 4}) == world.add_account("a", 3, {"plums": 4})
    with pytest.raises(BadRequest, match="another name or seed"):
        world.add_account("a", 3, {"plums": 5})


def test_an_account_with_an_unknown_resource_or_too_many_rows_is_refused(world: World) -> None:
    with pytest.raises(BadRequest, match="use one of baskets, plums"):
        world.add_account("a", 1, {"pears": 1})
    with pytest.raises(BadRequest, match="1,000,000"):
        world.add_account("a", 1, {"plums": 1_000_001})


def test_rows_of_an_unknown_account_are_not_found(world: World) -> None:
    with pytest.raises(NotFound, match="no account 'x'"):
        world.all_rows("x")


def test_a_number_takes_the_oldest_live_rows(world: World) -> None:
    world.mutate("acc-1", "plums", create=0, update=0, archive=1)
    touched = world.mutate("acc-1", "plums", create=0, update=2, archive=0)
    assert touched["updated"] == ["plums-1-1", "plums-1-2"]


def test_a_row_that_is_updated_and_archived_at_once_keeps_its_update(world: World) -> None:
    world.mutate("acc-1", "plums", create=0, update=["plums-1-0"], archive=["plums-1-0"])
    row = world.rows("acc-1", "plums")["plums-1-0"]
    assert (row.archived, row.body["edited"]) == (True, 1)


def test_created_rows_have_ids_of_their_own(world: World) -> None:
    created = world.mutate("acc-1", "plums", create=3, update=0, archive=0)["created"]
    assert created == ["plums-1-5", "plums-1-6", "plums-1-7"]
    assert live(world)[-3:] == created


@pytest.mark.parametrize("archive", [6, ["nope"], ["plums-1-0", "nope"]])
def test_a_mutation_that_cannot_be_done_changes_nothing(
    world: World, archive: int | list[str]
) -> None:
    with pytest.raises(BadRequest):
        world.mutate("acc-1", "plums", create=2, update=3, archive=archive)
    assert list(world.rows("acc-1", "plums").values()) == [
        row for kind, row in Plums().generate(Plums.default) if kind == "plums"
    ]


def test_an_archived_row_cannot_be_updated(world: World) -> None:
    world.mutate("acc-1", "plums", create=0, update=0, archive=["plums-1-0"])
    with pytest.raises(BadRequest, match="already archived"):
        world.mutate("acc-1", "plums", create=0, update=["plums-1-0"], archive=0)


def test_references_are_refused_where_the_provider_cuts_nothing_off(world: World) -> None:
    with pytest.raises(BadRequest, match="cuts nothing off"):
        world.mutate("acc-1", "plums", create=1, update=0, archive=0, references=40)


def test_what_is_archived_along_is_told_and_kept(opened: Opened) -> None:
    world = opened(Baskets())
    touched = world.mutate("acc-1", "baskets", create=0, update=0, archive=1)
    assert touched["archived"] == ["baskets-1-0"]
    assert len(touched["archived_plums"]) == 5
    assert live(opened(Baskets())) == live(world) == []


def test_rows_keep_their_order_and_content_over_a_restart(opened: Opened) -> None:
    world = opened()
    world.mutate("acc-1", "plums", create=3, update=2, archive=1)
    # Updating the first row created must not move it behind the others: cursors rely on the order.
    world.mutate("acc-1", "plums", create=0, update=["plums-1-5"], archive=0)
    before = world.all_rows("acc-1")
    after = opened().all_rows("acc-1")
    assert {kind: list(rows.items()) for kind, rows in after.items()} == {
        kind: list(rows.items()) for kind, rows in before.items()
    }


def test_accounts_codes_tokens_and_the_clock_survive_a_restart(opened: Opened) -> None:
    world = opened()
    account = world.add_account("a", 3, {"plums": 4})
    world.codes["c"] = AuthorizationCode(
        account=account.id, client_id="x", redirect_uri="u", expires=1.5, used=True
    )
    world.tokens["t"] = Token(
        kind="access", account=account.id, client_id="x", grant="g", issued=1.0, scopes=("a",)
    )
    world.tokens["gone"] = world.tokens["t"]
    del world.tokens["gone"]
    world.clock.advance(3600)
    again = opened()
    assert dict(again.accounts) == dict(world.accounts)
    assert (dict(again.codes), dict(again.tokens)) == (dict(world.codes), dict(world.tokens))
    assert again.clock.offset == 3600


def test_a_saved_row_stands_in_place_of_the_generated_one(opened: Opened) -> None:
    row = SandboxRow(id="plums-1-2", created="x", modified="y", body={})
    opened().save("acc-1", "plums", [row])
    assert list(opened().rows("acc-1", "plums").values())[2] == row


def test_deleting_what_is_not_there_is_a_key_error(world: World) -> None:
    with pytest.raises(KeyError):
        del world.tokens["nope"]


def test_the_clients_secret_is_not_in_its_repr() -> None:
    assert "s3cret" not in repr(CLIENT)


def test_a_failed_write_leaves_the_store_usable(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "s.db")) as store:
        with pytest.raises(Exception, match="type"):
            store.write("a", {"k": object()})  # type: ignore[dict-item]
        store.write("a", {"k": b"v"})
        assert list(store.load("a")) == [("k", b"v")]


def test_the_default_account_is_there_from_the_start(world: World) -> None:
    assert list(world.accounts.values()) == [
        SandboxAccount(id="acc-1", name="Orchard", seed=1, counts=Plums.default.counts)
    ]
