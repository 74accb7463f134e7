"""What an operator sets: read once, refused by name, never printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from service.settings import BadSetting, Settings

OIDC = {"OIDC_ISSUER": "https://id.example.test", "OIDC_JWKS_URL": "https://id.example.test/jwks"}
POSTGRES = "postgresql+psycopg://u:canary@db.example.test/gongduan"


def test_an_empty_environment_is_the_embedded_demo() -> None:
    settings = Settings.from_env({})

    assert settings == Settings(demo=True)
    assert settings.embedded
    assert settings.database_url == "sqlite:///data/gongduan.db"
    settings.require_identity()


@pytest.mark.parametrize(
    ("environ", "demo"),
    [
        ({}, True),
        ({"HOST": "::1"}, True),
        ({"HOST": "0.0.0.0"}, False),
        ({"HOST": "0.0.0.0", "DEMO": "1"}, True),
        ({"DATABASE_URL": POSTGRES}, False),
        ({"DATABASE_URL": POSTGRES, "DEMO": "yes"}, True),
        ({"DEMO": "0"}, False),
        ({"DEMO": ""}, True),
        (OIDC, False),
    ],
)
def test_the_demo_is_on_by_itself_only_on_sqlite_and_loopback(environ: dict[str, str], demo: bool) -> None:
    assert Settings.from_env(environ).demo is demo


def test_without_a_way_to_know_anybody_the_service_does_not_serve() -> None:
    settings = Settings.from_env({"DATABASE_URL": POSTGRES})

    with pytest.raises(BadSetting, match="OIDC_ISSUER"):
        settings.require_identity()


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL"),
        ({"DATABASE_URL": "sqlite://"}, "DATABASE_URL"),
        ({"PORT": "80a"}, "PORT"),
        ({"PORT": "65536"}, "PORT"),
        ({"PORT": "-1"}, "PORT"),
        ({"PORT": "٨٠"}, "PORT"),
        ({"WORKER_THREADS": "0"}, "WORKER_THREADS"),
        ({"BODY_BYTES_MAX": "1e6"}, "BODY_BYTES_MAX"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL"),
        ({"DEMO": "maybe"}, "DEMO"),
        ({"HOST": "http://x"}, "HOST"),
        ({"OIDC_ISSUER": "https://id.example.test"}, "OIDC_JWKS_URL"),
        ({"OIDC_JWKS_URL": "https://id.example.test"}, "OIDC_ISSUER"),
        ({**OIDC, "OIDC_JWKS_URL": "http://id.example.test/jwks"}, "OIDC_JWKS_URL"),
        ({**OIDC, "OIDC_ISSUER": "https://u:p@id.example.test"}, "OIDC_ISSUER"),
        ({**OIDC, "OIDC_ISSUER": "https://[bad"}, "OIDC_ISSUER"),
        ({**OIDC, "DEMO": "1"}, "DEMO"),
        ({"API_KEY_ENVIRONMENT": "Prod"}, "API_KEY_ENVIRONMENT"),
        ({"PAYMENT_GATEWAY_URL": "https://pay.example.test"}, "PAYMENT_GATEWAY_SECRET"),
        ({"PAYMENT_GATEWAY_SECRET": "x" * 32}, "PAYMENT_GATEWAY_URL"),
        ({"PAYMENT_GATEWAY_SECRET": "short"}, "PAYMENT_GATEWAY_SECRET"),
        ({"PAYMENT_GATEWAY_SECRET_FILE": "/nowhere/at/all"}, "PAYMENT_GATEWAY_SECRET_FILE"),
    ],
)
def test_a_value_we_cannot_run_with_is_refused_by_name(environ: dict[str, str], name: str) -> None:
    with pytest.raises(BadSetting) as refused:
        Settings.from_env(environ)

    assert refused.value.name == name
    assert str(refused.value).startswith(f"{name}: ")


def test_a_plain_address_is_for_loopback_only() -> None:
    local = {"OIDC_ISSUER": "http://127.0.0.1:9000/realm", "OIDC_JWKS_URL": "http://localhost:9000/jwks"}

    assert Settings.from_env(local).oidc_issuer == "http://127.0.0.1:9000/realm"


def test_a_secret_may_come_from_a_file_but_not_twice(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("whsec_" + "c2VjcmV0" * 4 + "\n")
    files = {"PAYMENT_GATEWAY_SECRET_FILE": str(path), "PAYMENT_GATEWAY_URL": "https://pay.example.test"}

    assert Settings.from_env(files).payment_gateway_secret == "whsec_" + "c2VjcmV0" * 4
    with pytest.raises(BadSetting, match="not both"):
        Settings.from_env({**files, "PAYMENT_GATEWAY_SECRET": "x" * 32})
    path.write_text(" \n")
    with pytest.raises(BadSetting, match="is empty"):
        Settings.from_env(files)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadSetting, match="cannot be read"):
        Settings.from_env(files)


def test_no_secret_is_printed_with_the_settings_or_an_error() -> None:
    """S14."""
    gateway = {"PAYMENT_GATEWAY_URL": "https://pay.example.test", "PAYMENT_GATEWAY_SECRET": "canary" * 8}
    settings = Settings.from_env({"DATABASE_URL": POSTGRES, **gateway})

    assert "canary" not in repr(settings)
    with pytest.raises(BadSetting) as refused:
        Settings.from_env({"PAYMENT_GATEWAY_SECRET": "canary"})
    assert "canary" not in str(refused.value)


def test_the_usual_spelling_of_a_postgresql_address_is_taken() -> None:
    assert Settings.from_env({"DATABASE_URL": "postgres://u@h/d"}).database_url == "postgresql+psycopg://u@h/d"


def test_every_variable_is_in_the_operators_table() -> None:
    root = Path(__file__).resolve().parents[1]
    source, table = ((root / name).read_text("utf-8") for name in ("service/settings.py", "docs/operations.md"))

    named = set(re.findall(r'read\.\w+\(\s*"([A-Z_]+)"', source))

    assert len(named) >= 18
    assert {name for name in named if f"| `{name}`" not in table} == set()
