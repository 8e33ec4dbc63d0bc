import copy
import dataclasses
import pickle
from pathlib import Path

import msgspec
import pytest

from shared.settings import (
    Cluster,
    ProviderDefaults,
    SecretStr,
    Settings,
    SettingsError,
    load_settings,
    settings_table,
)
from shared.settings.variables import GENERAL, KAFKA

PROVIDERS = {"acme": ProviderDefaults(), "open-crm": ProviderDefaults(secret_optional=True)}
KEY = "A" * 43 + "="


def load(env_file: Path | None = None, /, **environ: str) -> Settings:
    named = {f"TRIBUTARY_{name}": value for name, value in environ.items()}
    return load_settings({"PATH": "/bin", **named}, env_file, providers=PROVIDERS)


def problems(env_file: Path | None = None, /, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        load(env_file, **environ)
    assert all(problem in str(refusal.value) for problem in refusal.value.problems)
    return refusal.value.problems


def test_every_variable_has_a_field_of_its_name_and_every_field_a_variable() -> None:
    # These become a part of another field: of ``kafka``, and of ``database_url``.
    parts = {one.field for one in KAFKA} | {"database_password_file"}
    variables = {one.field for one in GENERAL} - parts
    fields = set(Settings.__struct_fields__) - {"kafka", "providers"}
    lacking = sorted(variables - fields)
    assert lacking == [], f"add the fields {lacking} to Settings in shared/settings/load.py"
    left = sorted(fields - variables)
    assert left == [], f"add the variables of {left} to shared/settings/variables.py"


def test_nothing_has_to_be_set() -> None:
    found = load()
    ports = (
        found.gateway_port,
        found.auth_port,
        found.fetcher_port,
        found.sandbox_port,
        found.kafka_port,
    )
    assert ports == (8000, 8001, 8002, 8003, 9092)
    assert (found.data_dir, found.public_url, found.host) == (
        Path(".tributary"),
        "http://localhost:8000",
        "localhost",
    )
    assert found.allowed_origins == ("http://localhost:3000",)
    assert (found.keys, found.max_pages, found.log_level, found.log_format) == (
        (),
        None,
        "info",
        "auto",
    )
    assert found.providers["acme"].simulated
    assert not found.secure


def test_the_public_url_follows_the_gateway_port() -> None:
    assert load(GATEWAY_PORT="9000").public_url == "http://localhost:9000"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("https://Hub.Example.com/", "https://hub.example.com"),
        ("https://example.com:443", "https://example.com"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_the_public_url_is_normalised_to_an_origin(written: str, read: str) -> None:
    found = load(PUBLIC_URL=written)
    assert (found.public_url, found.secure) == (read, read.startswith("https"))


@pytest.mark.parametrize(
    "wrong",
    [
        "example.com",
        "ftp://a",
        "http://a/path",
        "http://a?x",
        "http://u:pw@a",
        "http://a:99999",
        "http://ä",
        "*",
    ],
)
def test_a_public_url_that_is_no_origin_is_refused(wrong: str) -> None:
    (problem,) = problems(PUBLIC_URL=wrong)
    assert problem.startswith("TRIBUTARY_PUBLIC_URL")
    assert "pw" not in problem


@pytest.mark.parametrize(
    "wrong", ["*", "null", "localhost:3000", "http://a.com,http://b.com/x", "https://*.a.com"]
)
def test_T35_allowed_origins_are_exact(wrong: str) -> None:
    (problem,) = problems(ALLOWED_ORIGINS=wrong)
    assert "TRIBUTARY_ALLOWED_ORIGINS" in problem


def test_allowed_origins_are_a_list_without_repetitions() -> None:
    found = load(ALLOWED_ORIGINS="https://a.com, http://B.com:80 ,https://a.com")
    assert found.allowed_origins == ("https://a.com", "http://b.com")


@pytest.mark.parametrize("wrong", ["0", "65536", "-1", "80a", "٨٠", "1e3"])
def test_a_port_is_a_number_from_1_to_65535(wrong: str) -> None:
    (problem,) = problems(AUTH_PORT=wrong)
    assert "from 1 to 65535" in problem


def test_ports_are_distinct() -> None:
    (problem,) = problems(AUTH_PORT="8000", KAFKA_PORT="8000")
    assert (
        "TRIBUTARY_GATEWAY_PORT and TRIBUTARY_AUTH_PORT and TRIBUTARY_KAFKA_PORT are all 8000"
        in problem
    )


@pytest.mark.parametrize(
    "wrong", ["example.com", "localhost.example.com", "256.1.1.1", "0.0.0.0:80"]
)
def test_a_name_is_no_address(wrong: str) -> None:
    (problem,) = problems(HOST=wrong)
    assert "Write an IP address" in problem


LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "127.8.8.8", "::1")
OTHER_HOSTS = ("0.0.0.0", "::", "192.168.1.4", "2001:db8::1")
LOOPBACK_URLS = (
    "http://localhost:8000",
    "https://localhost",
    "http://LOCALHOST",
    "http://127.0.0.1:8000",
    "http://127.8.8.8",
    "http://[::1]:8000",
)
OTHER_URLS = (
    "https://tributary.example.com",
    "http://localhost.example.com",
    "http://127.0.0.1.example.com",
    "http://192.168.1.4:8000",
    "http://0.0.0.0:8000",
    "http://[2001:db8::1]",
    "http://tributary",
)


@pytest.mark.parametrize("host", LOOPBACK_HOSTS)
@pytest.mark.parametrize("url", LOOPBACK_URLS)
def test_on_loopback_alone_no_keys_are_required(host: str, url: str) -> None:
    assert not load(HOST=host, PUBLIC_URL=url).keys_required


@pytest.mark.parametrize("host", LOOPBACK_HOSTS)
@pytest.mark.parametrize("url", OTHER_URLS)
def test_a_public_url_beyond_loopback_requires_keys_whatever_the_host(host: str, url: str) -> None:
    assert load(HOST=host, PUBLIC_URL=url).keys_required


@pytest.mark.parametrize("host", OTHER_HOSTS)
@pytest.mark.parametrize("url", [*LOOPBACK_URLS, *OTHER_URLS])
def test_a_host_beyond_loopback_requires_keys_whatever_the_public_url(host: str, url: str) -> None:
    assert load(HOST=host, PUBLIC_URL=url).keys_required


def test_by_default_no_keys_are_required() -> None:
    assert not load().keys_required


def test_without_a_word_everything_is_on_this_machine() -> None:
    settings = load(KAFKA_PORT="9999", SANDBOX_PORT="8888")
    assert settings.kafka == Cluster(bootstrap="127.0.0.1:9999", protocol="PLAINTEXT")
    assert (settings.database_url, settings.redis_url) == (None, None)
    assert (settings.sandbox_url, settings.sandbox_public_url) == (
        "http://127.0.0.1:8888",
        "http://127.0.0.1:8888",
    )
    assert settings.auth_url == "http://127.0.0.1:8001"


def test_servers_are_taken_as_they_are_given() -> None:
    settings = load(
        KAFKA_BOOTSTRAP_SERVERS="k1:9092, [::1]:9093",
        KAFKA_SECURITY_PROTOCOL="sasl_ssl",
        KAFKA_SASL_USERNAME="app",
        KAFKA_SASL_PASSWORD="s3cret",
        DATABASE_URL="postgresql://app:pa%40ss@db:5432/tributary",
        REDIS_URL="rediss://cache:6379/1",
    )
    assert (settings.kafka.bootstrap, settings.kafka.protocol) == ("k1:9092,[::1]:9093", "SASL_SSL")
    assert settings.kafka.signs_in
    assert settings.kafka.encrypted
    assert settings.database_url is not None
    assert settings.database_url.reveal().endswith("@db:5432/tributary")
    assert "s3cret" not in repr(settings)
    assert "pa%40ss" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("DATABASE_URL", "mysql://u:hush@h/d"),
        ("DATABASE_URL", "postgresql://u:hush@h"),
        ("DATABASE_URL", "postgresql://u:hush@h:99999/d"),
        ("REDIS_URL", "http://:hush@h"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka:0"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("KAFKA_SSL_CAFILE", "/no/such/file"),
    ],
)
def test_a_server_that_cannot_be_meant_is_refused_without_its_password(
    name: str, wrong: str
) -> None:
    (problem,) = problems(**{name: wrong})
    assert f"TRIBUTARY_{name}" in problem
    assert "Write" in problem or "Name an existing" in problem
    assert "hush" not in problem


def test_signing_in_takes_a_name_and_a_password() -> None:
    assert "KAFKA_SASL_USERNAME" in problems(KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT")[0]
    assert "does not sign in" in problems(KAFKA_SASL_PASSWORD="p")[0]


def test_a_database_password_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("p@ss/word\n")
    found = load(
        DATABASE_URL="postgresql://app@db/tributary", DATABASE_PASSWORD_FILE=str(file)
    ).database_url
    assert found is not None
    assert found.reveal() == "postgresql://app:p%40ss%2Fword@db/tributary"
    given = {"DATABASE_URL": "postgresql://app:one@db/t", "DATABASE_PASSWORD_FILE": str(file)}
    assert "Keep one" in problems(**given)[0]
    assert "Set both" in problems(DATABASE_PASSWORD_FILE=str(file))[0]
    away = {
        "DATABASE_URL": "postgresql://app@db/t",
        "DATABASE_PASSWORD_FILE": str(tmp_path / "none"),
    }
    assert "cannot be read" in problems(**away)[0]


def test_the_first_key_writes() -> None:
    assert [name for name, _ in load(KEYS=f"k2:{KEY}, k1:{KEY}").keys] == ["k2", "k1"]


@pytest.mark.parametrize(
    "wrong", [KEY, f"k.1:{KEY}", "k1:c2hvcnQ=", f"k1:{KEY},k1:{KEY}", "k1:!!!!", f"k1:{KEY}ä"]
)
def test_T11_wrong_keys_are_refused_without_being_shown(wrong: str) -> None:
    (problem,) = problems(KEYS=wrong)
    assert problem.startswith("TRIBUTARY_KEYS ")
    assert KEY not in problem
    assert "c2hvcnQ" not in problem


def test_a_client_id_and_secret_serve_the_real_provider() -> None:
    acme = load(
        ACME_CLIENT_ID="id", ACME_CLIENT_SECRET="s3cret", ACME_SCOPES="a.read, b.read c"
    ).providers["acme"]
    assert not acme.simulated
    assert acme.scopes == ("a.read", "b.read", "c")
    assert acme.client_secret == SecretStr("s3cret")


def test_each_url_may_be_set_alone_with_the_sandbox_client() -> None:
    acme = load(ACME_TOKEN_URL="http://127.0.0.1:9/token/").providers["acme"]
    assert acme.simulated
    assert (acme.token_url, acme.api_url, acme.client_id) == (
        "http://127.0.0.1:9/token",
        None,
        None,
    )


def test_half_a_client_is_refused_unless_the_provider_permits_public_clients() -> None:
    assert "without TRIBUTARY_ACME_CLIENT_SECRET" in problems(ACME_CLIENT_ID="id")[0]
    assert "without TRIBUTARY_ACME_CLIENT_ID" in problems(ACME_CLIENT_SECRET="s3cret")[0]
    assert load(OPEN_CRM_CLIENT_ID="id").providers["open-crm"].client_secret is None


def test_an_unknown_name_is_refused_with_the_one_that_was_meant() -> None:
    assert "Did you mean TRIBUTARY_GATEWAY_PORT?" in problems(GATEWAY_PROT="1")[0]
    assert "Did you mean TRIBUTARY_ACME_CLIENT_ID?" in problems(ACME_CLIENTID="1")[0]
    assert "docs/reference/settings.md" in problems(ZZZ="1")[0]
    assert load(FAILPOINT="after_E").max_pages is None


def test_everything_wrong_is_reported_at_once() -> None:
    found = problems(
        GATEWAY_PORT="x",
        HOST="nowhere",
        LOG_LEVEL="loud",
        MAX_PAGES="0",
        ACME_CLIENT_ID="i",
        NOPE="1",
    )
    assert len(found) == 6


def test_an_empty_value_counts_as_not_set() -> None:
    assert load(MAX_PAGES="", GATEWAY_PORT=" ").gateway_port == 8000


def test_env_file_gives_what_the_environment_does_not(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "\ufeff# ours\r\nexport TRIBUTARY_GATEWAY_PORT=9000 # the door\r\n\n"
        "TRIBUTARY_AUTH_PORT = 9001\nTRIBUTARY_ACME_CLIENT_ID='a#b\\'\n"
        'TRIBUTARY_ACME_CLIENT_SECRET="a\\"b # c" # not this\nOTHER=x=y\n'
    )
    found = load(file, AUTH_PORT="9002")
    assert (found.gateway_port, found.auth_port) == (9000, 9002)
    acme = found.providers["acme"]
    assert (acme.client_id, acme.client_secret) == ("a#b\\", SecretStr('a"b # c'))


def test_env_file_errors_name_the_line_and_no_value(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\nsesame\nTRIBUTARY_KEYS='sesame\nTRIBUTARY_NOPE=sesame\n")
    found = problems(file)
    assert [problem[:11] for problem in found[:2]] == [".env line 2", ".env line 3"]
    assert "TRIBUTARY_NOPE" in found[2]
    assert "sesame" not in "".join(found)


def test_an_unreadable_env_file_is_a_problem_and_a_missing_one_is_not(tmp_path: Path) -> None:
    assert load(tmp_path / "missing") == load()
    (tmp_path / "binary").write_bytes(b"A=\xff")
    assert "UTF-8" in problems(tmp_path / "binary")[0]


def test_T11_a_secret_shows_itself_nowhere() -> None:
    secret = SecretStr("s3cret")

    @dataclasses.dataclass
    class Holder:
        token: SecretStr

    settings = load(ACME_CLIENT_ID="id", ACME_CLIENT_SECRET="s3cret", KEYS=f"k:{KEY}")
    for shown in (
        str(secret),
        repr(secret),
        f"{secret:>9}",
        f"{secret!s}",
        repr(Holder(secret)),
        repr(settings),
    ):
        assert "***" in shown
        assert "s3cret" not in shown
        assert KEY not in shown
    for publish in (msgspec.json.encode, pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            publish(secret)
    assert secret.reveal() == "s3cret"
    assert secret == SecretStr("s3cret")
    assert secret not in {SecretStr("other"), "s3cret"}


def test_the_table_of_the_reference_names_every_variable_once() -> None:
    table = settings_table(PROVIDERS)
    for name in (
        "GATEWAY_PORT",
        "PUBLIC_URL",
        "KEYS",
        "MAX_PAGES",
        "HOST",
        "P_CLIENT_ID",
        "P_API_URL",
    ):
        assert table.count(f"| `TRIBUTARY_{name}` |") == 1
    assert "`http://localhost:{gateway port}`" in table
    assert "`ACME`, `OPEN_CRM`" in table
    assert {line.count("|") for line in table.splitlines() if line.startswith("|")} == {5}
