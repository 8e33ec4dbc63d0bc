import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.crypto import (
    BadToken,
    DecryptFailed,
    KeyRing,
    SecretFileRefused,
    Signer,
    UnknownKey,
    check_canary,
    hash_token,
    load_keyring,
    load_or_make_secret,
    make_canary,
    same,
)
from shared.crypto.sealing import b64, unb64
from shared.settings import SecretStr

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
PLACE = ("org-1", "con-1", "access_token")
RING = KeyRing({"new": NEW, "old": OLD}, "new")
SIGNER = Signer(SecretStr("service secret"))


def test_a_sealed_value_opens_where_it_was_sealed() -> None:
    sealed = RING.seal("tøken", *PLACE)
    assert sealed.startswith("v1.new.")
    assert len(sealed.split(".")) == 4
    assert RING.open(sealed, *PLACE) == "tøken"
    assert RING.open_bytes(RING.seal(b"\xff", *PLACE), *PLACE) == b"\xff"


def test_the_same_plaintext_never_looks_the_same() -> None:
    assert len({RING.seal("x", *PLACE) for _ in range(50)}) == 50


def test_older_keys_still_open_and_only_the_first_writes() -> None:
    sealed = KeyRing({"old": OLD}, "old").seal("x", *PLACE)
    assert RING.open(sealed, *PLACE) == "x"
    with pytest.raises(UnknownKey, match="'new'"):
        KeyRing({"old": OLD}, "old").open(RING.seal("x", *PLACE), *PLACE)


@pytest.mark.parametrize(
    "place",
    [
        ("org-2", "con-1", "access_token"),
        ("org-1", "con-2", "access_token"),
        ("org-1", "con-1", "refresh_token"),
        ("org-1con-1", "access_token"),
        ("org-1", "con-1access_token", ""),
        ("org-1", "con-1", "access_token", ""),
        (),
    ],
)
def test_T30_a_value_moved_to_another_place_does_not_open(place: tuple[str, ...]) -> None:
    with pytest.raises(DecryptFailed):
        RING.open(RING.seal("x", *PLACE), *place)


def test_T30_a_downgraded_or_relabelled_value_does_not_open() -> None:
    sealed = RING.seal("x", *PLACE)
    both_same = KeyRing({"new": NEW, "old": NEW}, "new")
    for altered in (
        sealed.replace("v1.", "v0."),
        sealed.replace("v1.", ""),
        sealed.replace(".new.", ".old."),
        "x",
        "",
    ):
        with pytest.raises((DecryptFailed, UnknownKey)):
            both_same.open(altered, *PLACE)


@settings(deadline=None)
@given(st.data())
def test_T30_an_altered_or_truncated_value_does_not_open(data: st.DataObject) -> None:
    sealed = RING.seal("a secret of some length", *PLACE)
    position = data.draw(st.integers(len("v1.new."), len(sealed) - 1))
    replaced = data.draw(st.characters().filter(lambda char: char != sealed[position]))
    for altered in (
        sealed[:position],
        sealed[:position] + replaced + sealed[position + 1 :],
        sealed + replaced,
    ):
        with pytest.raises(DecryptFailed):
            RING.open(altered, *PLACE)


def test_a_ring_shows_key_ids_only() -> None:
    assert repr(RING) == "KeyRing(writing='new', keys=['new', 'old'])"


def test_the_canary_tells_that_keys_were_exchanged() -> None:
    canary = make_canary(RING)
    check_canary(RING, canary)
    for wrong in (KeyRing({"new": OLD}, "new"), KeyRing({"other": NEW}, "other")):
        with pytest.raises((DecryptFailed, UnknownKey), match="TRIBUTARY_KEYS"):
            check_canary(wrong, canary)


def test_a_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "keys"
    sealed = load_keyring([], path).seal("x", *PLACE)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_keyring([], path).open(sealed, *PLACE) == "x"
    assert list(path.parent.iterdir()) == [path]


def test_keys_from_the_settings_win_and_leave_no_file(tmp_path: Path) -> None:
    keys = [("b", SecretStr("-" * 42 + "8")), ("a", SecretStr("A" * 43 + "="))]
    ring = load_keyring(keys, tmp_path / "keys")
    assert ring.writing == "b"
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_file_that_others_can_open_is_refused_in_words(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys"
    load_keyring([], path)
    path.chmod(mode)
    with pytest.raises(SecretFileRefused, match="chmod 600"):
        load_keyring([], path)


@pytest.mark.parametrize("text", ["", "no colon", "k:c2hvcnQ=", "k.1:" + "A" * 43, ":"])
def test_a_damaged_key_file_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SecretFileRefused, match="backup"):
        load_keyring([], path)
    assert path.read_text() == text


def test_two_processes_starting_together_get_the_same_secret(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    found: list[str] = []

    def start() -> None:
        barrier.wait()
        found.append(load_or_make_secret(tmp_path / "secret").reveal())

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(found[0]) >= 43


def test_an_empty_secret_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(0o600)
    with pytest.raises(SecretFileRefused):
        load_or_make_secret(path)


def test_a_signed_token_gives_its_payload_back_in_its_context() -> None:
    token = SIGNER.sign(b"\x00page 2", "org-1/items")
    assert SIGNER.verify(token, "org-1/items") == b"\x00page 2"
    assert token.replace("-", "").replace("_", "").isalnum()


@settings(deadline=None)
@given(st.data())
def test_T23_a_tampered_page_token_is_refused(data: st.DataObject) -> None:
    token = SIGNER.sign(b"page 2", "org-1/items")
    position = data.draw(st.integers(0, len(token) - 1))
    replaced = data.draw(st.characters().filter(lambda char: char != token[position]))
    for bad in (
        token[:position],
        token[:position] + replaced + token[position + 1 :],
        token + replaced,
        token * 999,
    ):
        with pytest.raises(BadToken) as refusal:
            SIGNER.verify(bad, "org-1/items")
        assert refusal.value.status == 400


def test_T23_a_page_token_of_another_query_secret_or_purpose_is_refused() -> None:
    token = SIGNER.sign(b"page 2", "org-1/items")
    others = [(SIGNER, "org-2/items"), (Signer(SecretStr("x")), "org-1/items")]
    for signer, context in [*others, (Signer(SecretStr("service secret"), "flow"), "org-1/items")]:
        with pytest.raises(BadToken):
            signer.verify(token, context)
    raw = unb64(SIGNER.sign(b"s and more", "org-1/item"))
    with pytest.raises(BadToken):
        SIGNER.verify(b64(raw[:32] + b" and more"), "org-1/items")


def test_tokens_are_compared_and_digested() -> None:
    assert same("tøken", "tøken".encode())
    assert not same("token", "tokem")
    assert hash_token("abc").startswith("ba7816bf")
