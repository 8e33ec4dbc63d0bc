"""Everything that docker-compose.yml and the Dockerfile name exists; no engine is needed."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploy.sandbox.server.control import HANDLERS
from shared.installation import addresses, provider_defaults
from shared.settings import Settings, load_settings
from shared.settings.variables import GENERAL, PER_PROVIDER, PREFIX, provider_prefix
from shared.web import HEALTH
from tests.structure.images import DOCKERFILE, copied_into
from tests.structure.tree import ROOT

FILE = ROOT / "docker-compose.yml"
RELEASE = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
PRODUCTION, SANDBOX = f"tributary:{RELEASE}", f"tributary-sandbox:{RELEASE}"
PUBLISHED = {"gateway": 8000, "sandbox": 8003, "kafka": 9092}
ONE_SHOT = {"password", "setup"}
SERVERS = {"postgres": "postgres:17", "redis": "redis:8", "kafka": "apache/kafka:"}
CHECKS = {  # programs that the servers' images have
    "postgres": r"pg_isready --quiet --host=127\.0\.0\.1 --username=tributary --dbname=tributary",
    "redis": r"redis-cli -e ping",
    "kafka": (
        r".*/opt/kafka/bin/kafka-broker-api-versions\.sh --bootstrap-server localhost:19092 "
        r">/dev/null"
    ),
}
# What the images document. Kafka's variables are the names of its broker configuration.
DOCUMENTED = {
    "postgres": {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD_FILE", "POSTGRES_INITDB_ARGS"},
    "redis": set[str](),
    "kafka": {
        "KAFKA_HEAP_OPTS",
        "node.id",
        "process.roles",
        "listeners",
        "advertised.listeners",
        "listener.security.protocol.map",
        "inter.broker.listener.name",
        "controller.listener.names",
        "controller.quorum.voters",
        "log.dirs",
        "auto.create.topics.enable",
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
        "transaction.state.log.min.isr",
        "group.initial.rebalance.delay.ms",
    },
}


def program(name: str) -> str:
    found = shutil.which(
        name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    )
    if found is None:
        pytest.skip(f"{name} is not here; the development requirements bring it")
    return found


def resolved(folder: Path, dotenv: str = "") -> dict[str, Any]:
    """Return Compose's reading, in a folder and environment without anybody's .env."""
    shutil.copy(FILE, folder)
    (folder / ".env").write_text(dotenv)
    command = [program("docker-compose"), "config", "--format", "json"]
    place = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder)}
    ran = subprocess.run(
        command, cwd=folder, env=place, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return resolved(tmp_path_factory.mktemp("compose"))


@pytest.fixture(scope="module")
def services(model: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = model["services"]
    return found


@pytest.fixture(scope="module")
def ours(services: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        name: service
        for name, service in services.items()
        if service["image"] in {PRODUCTION, SANDBOX}
    }


def settings_of(service: dict[str, Any], folder: Path) -> Settings:
    """Return what the service reads from its variables, with the volume's password file."""
    password = folder / "password"
    password.write_text("p/w")
    given = {**service["environment"], "TRIBUTARY_DATABASE_PASSWORD_FILE": str(password)}
    return load_settings(given, providers=provider_defaults())


def test_the_stack_is_complete(services: dict[str, Any], ours: dict[str, Any]) -> None:
    assert set(ours) == {"auth", "fetcher", "gateway", "sandbox"} | ONE_SHOT
    assert set(services) - set(ours) == set(SERVERS)
    assert all(services[name]["image"].startswith(image) for name, image in SERVERS.items())
    assert re.fullmatch(r"apache/kafka:\d+\.\d+\.\d+", services["kafka"]["image"])


def test_one_kafka_version_with_and_without_docker(services: dict[str, Any]) -> None:
    pom = ROOT / "deploy" / "kafka" / "pom.xml"
    if not pom.exists():
        pytest.skip("this checkout has no Kafka without Docker")
    assert services["kafka"]["image"].partition(":")[2] in pom.read_text("utf-8")


def test_every_command_is_in_the_code_and_takes_its_arguments(ours: dict[str, Any]) -> None:
    for name, service in ours.items():
        python, flag, module, *arguments = service["command"]
        assert (python, flag) == ("python", "-m"), name
        spec = importlib.util.find_spec(module)
        assert spec is not None, module
        origin = Path(spec.origin or "")
        source = origin.with_name("__main__.py") if spec.submodule_search_locations else origin
        assert 'if __name__ == "__main__":' in source.read_text("utf-8"), module
        if arguments:
            assert unknown(arguments, usage(module)) == [], module


def usage(module: str) -> str:
    command = [sys.executable, "-m", module, "--help"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return ran.stdout


def unknown(arguments: list[str], text: str) -> list[str]:
    """Yield options that the help does not name, and arguments that the usage has no place for."""
    known = set(re.findall(r"--[a-z-]+", text))
    places = re.sub(r"\[.*?\]", "", text.partition("\n\n")[0].partition(" -m ")[2]).split()[1:]
    positional = [one for one in arguments if not one.startswith("--")]
    missing = [
        one for one in arguments if one.startswith("--") and one.partition("=")[0] not in known
    ]
    return missing + positional[len(places) :]


def test_every_variable_of_ours_is_a_setting_and_has_a_value_it_takes(
    ours: dict[str, Any], tmp_path: Path
) -> None:
    for service in ours.values():
        settings_of(service, tmp_path)
    asked = set(re.findall(r"\$\{(TRIBUTARY_[A-Z_]+)", FILE.read_text("utf-8")))
    assert asked <= {PREFIX + variable.name for variable in GENERAL}


def test_every_variable_of_the_servers_is_one_that_their_images_know(
    services: dict[str, Any],
) -> None:
    for name, documented in DOCUMENTED.items():
        given = set(services[name].get("environment", {}))
        undocumented = given - documented
        assert set(map(kafka_property, undocumented)) <= documented


def kafka_property(variable: str) -> str:
    """Return the property as the image reads it: KAFKA_NODE_ID is node.id."""
    return variable.removeprefix("KAFKA_").replace("_", ".").lower()


def test_every_port_is_the_one_that_the_service_listens_on(
    ours: dict[str, Any], tmp_path: Path
) -> None:
    for name in set(ours) - ONE_SHOT:
        port = getattr(settings_of(ours[name], tmp_path), f"{name}_port")
        assert urlsplit(ours[name]["healthcheck"]["test"][-1]).port == port
        assert {published["target"] for published in ours[name].get("ports", [])} <= {port}
    assert (
        f"--port={settings_of(ours['sandbox'], tmp_path).sandbox_port}"
        in ours["sandbox"]["command"]
    )


def test_services_listen_where_the_others_can_reach_them(
    ours: dict[str, Any], tmp_path: Path
) -> None:
    settings = settings_of(ours["auth"], tmp_path)
    assert set(addresses(settings).values()) == {"0.0.0.0"}
    assert {"--host=0.0.0.0", "--name=sandbox"} <= set(ours["sandbox"]["command"])


def test_every_address_is_a_service_and_a_port_of_it(
    services: dict[str, Any], ours: dict[str, Any]
) -> None:
    inside = "kafka:19092"
    assert f"INSIDE://{inside}" in services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    for service in ours.values():
        given = service["environment"]
        assert given["TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS"] == inside
        assert urlsplit(given["TRIBUTARY_DATABASE_URL"]).netloc == "tributary@postgres:5432"
        assert urlsplit(given["TRIBUTARY_REDIS_URL"]).netloc == "redis:6379"
        assert given["TRIBUTARY_AUTH_URL"] == f"http://auth:{given['TRIBUTARY_AUTH_PORT']}"
        assert given["TRIBUTARY_SANDBOX_URL"] == f"http://sandbox:{given['TRIBUTARY_SANDBOX_PORT']}"


def test_every_healthcheck_asks_what_the_code_answers(
    services: dict[str, Any], ours: dict[str, Any]
) -> None:
    sandbox = {path for handler in HANDLERS for path in handler.paths}
    for name in set(ours) - ONE_SHOT:
        *command, url = ours[name]["healthcheck"]["test"]
        assert command == ["CMD", "python", "-m", "deploy.health"]
        assert urlsplit(url).path == "/health/ready"
        assert urlsplit(url).path in (sandbox if name == "sandbox" else HEALTH)
    for name, expected in CHECKS.items():
        assert re.fullmatch(expected, " ".join(services[name]["healthcheck"]["test"][1:]))


def test_what_is_waited_for_can_be_seen_to_be_there(services: dict[str, Any]) -> None:
    for service in services.values():
        for name, needed in service.get("depends_on", {}).items():
            once = name in ONE_SHOT
            assert needed["condition"] == (
                "service_completed_successfully" if once else "service_healthy"
            )
            assert once is ("healthcheck" not in services[name])
    assert set(services["postgres"]["depends_on"]) == {"password"}
    assert set(services["setup"]["depends_on"]) == set(SERVERS)
    assert all("setup" in services[name]["depends_on"] for name in ("auth", "fetcher", "gateway"))


def test_only_gateway_sandbox_and_kafka_are_published_and_only_here(
    services: dict[str, Any],
) -> None:
    ports = {name: service.get("ports", []) for name, service in services.items()}
    assert {
        name: published[0]["target"] for name, published in ports.items() if published
    } == PUBLISHED
    assert all(len(published) <= 1 for published in ports.values())
    assert {one["host_ip"] for published in ports.values() for one in published} == {"127.0.0.1"}
    outside = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert "OUTSIDE://127.0.0.1:9092" in outside


def test_any_number_of_fetchers_can_run(services: dict[str, Any]) -> None:
    assert not any(
        "container_name" in service or "hostname" in service for service in services.values()
    )
    assert "ports" not in services["fetcher"]


def test_no_container_may_do_more_than_it_has_to(
    services: dict[str, Any], model: dict[str, Any]
) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["init"] is True, name
        assert service.get("read_only", False) is (name != "kafka"), name
        assert name == "kafka" or service["user"] not in {"root", "0"}, name
        assert not {"privileged", "cap_add", "pid", "network_mode"} & set(service), name
        assert {volume["type"] for volume in service.get("volumes", [])} <= {"volume"}, name
        assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped"), name
        assert seconds(service["stop_grace_period"]) >= 15, name
    assert model["networks"]["stores"]["internal"] is True


def seconds(duration: str) -> int:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(count) * units[unit] for count, unit in re.findall(r"(\d+)([hms])", duration))


def test_no_secret_stands_in_the_file(services: dict[str, Any], ours: dict[str, Any]) -> None:
    assert not re.search(r"PASSWORD:|_SECRET|_KEYS:", FILE.read_text("utf-8"))
    made = ours["password"]["command"][-1]
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD_FILE"] == made
    assert {
        service["environment"]["TRIBUTARY_DATABASE_PASSWORD_FILE"] for service in ours.values()
    } == {made}


def test_real_accounts_and_other_ports_come_from_a_dotenv_and_its_addresses_do_not(
    tmp_path: Path,
) -> None:
    slug = next(iter(provider_defaults()))
    ids = {
        f"{PREFIX}{provider_prefix(slug)}{one.name}"
        for one in PER_PROVIDER
        if one.name.startswith("CLIENT_")
    }
    lines = [
        *(f"{name}=given" for name in ids),
        "SANDBOX=0",
        "TRIBUTARY_GATEWAY_PORT=8100",
        "TRIBUTARY_KAFKA_PORT=9100",
    ]
    services = resolved(tmp_path, "\n".join([*lines, "TRIBUTARY_DATA_DIR=elsewhere"]))["services"]
    settings = settings_of(services["auth"], tmp_path)
    assert not settings.providers[slug].simulated
    assert settings.public_url == "http://localhost:8100"
    assert (
        services["gateway"]["ports"][0] | {"published": "8100", "target": 8000}
        == services["gateway"]["ports"][0]
    )
    assert services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].endswith(
        "OUTSIDE://127.0.0.1:9100"
    )
    assert services["sandbox"]["scale"] == 0
    assert settings.data_dir == Path("/var/lib/tributary")


def test_only_the_sandbox_runs_the_image_with_the_simulated_providers(ours: dict[str, Any]) -> None:
    assert [name for name, service in ours.items() if service["image"] == SANDBOX] == ["sandbox"]
    assert ours["sandbox"]["build"]["target"] == "sandbox"
    assert ours["password"]["build"]["target"] == "production"


def test_each_image_is_built_once_from_the_plain_base(ours: dict[str, Any]) -> None:
    assert {name for name, service in ours.items() if "build" in service} == {"password", "sandbox"}
    assert {service["pull_policy"] for service in ours.values()} == {"never"}
    lines = DOCKERFILE.read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith("FROM")] == [
        "FROM python:3.13-slim AS build",
        "FROM build AS build-sandbox",
        "FROM python:3.13-slim AS base",
        "FROM base AS sandbox",
        "FROM base AS production",
    ]
    assert not any(re.match(r"#\s*syntax", line) for line in lines)
    assert not re.search(r"apt-get|apk |gcc|build-essential|curl|wget", "\n".join(lines))
    assert "--require-hashes" in DOCKERFILE.read_text("utf-8")


def test_the_image_has_the_users_and_the_mount_points_of_the_services(ours: dict[str, Any]) -> None:
    text = DOCKERFILE.read_text("utf-8")
    assert {service["user"] for service in ours.values()} == set(
        re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    )
    mounted = {volume["target"] for service in ours.values() for volume in service["volumes"]}
    assert mounted == set(
        re.findall(r"install --directory \S+ tributary --group tributary \S+ \d+ (\S+)", text)
    )


def test_the_images_copy_what_there_is_and_the_context_lets_through() -> None:
    copied = {*copied_into("production"), *copied_into("sandbox"), "requirements.lock"}
    assert all((ROOT / one).exists() for one in copied)
    rules = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert {f"!{one}" for one in copied} == {rule for rule in rules if rule.startswith("!")}
    assert {"*", "**/tests"} <= set(rules)


def test_hadolint_has_nothing_to_say() -> None:
    command = [program("hadolint"), "--failure-threshold", "style", str(DOCKERFILE)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")
