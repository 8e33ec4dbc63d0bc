import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.compose.password import main, make_password


def test_the_password_is_made_once_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "password"
    assert main([str(file)]) == 0
    made = file.read_text()
    assert len(made) >= 40
    assert main([str(file)]) == 0
    assert file.read_text() == made


def test_two_installations_have_two_passwords(tmp_path: Path) -> None:
    for name in "ab":
        make_password(tmp_path / name)
    assert (tmp_path / "a").read_text() != (tmp_path / "b").read_text()


def test_its_owner_and_group_read_it_and_nobody_writes_it(tmp_path: Path) -> None:
    make_password(tmp_path / "password")
    assert stat.S_IMODE((tmp_path / "password").stat().st_mode) == 0o440


def test_of_several_at_once_one_makes_it_and_no_draft_stays(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make_password, [tmp_path / "password"] * 8))
    assert made.count(True) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["password"]


def test_the_password_is_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(tmp_path / "password")])
    shown = capsys.readouterr()
    assert (tmp_path / "password").read_text() not in shown.out + shown.err
