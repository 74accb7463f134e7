"""What an operator sets from the environment; business numbers live in the policy."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from service.store.signing import require_secret

Value = TypeVar("Value")

DATABASE_URL_DEFAULT = "sqlite:///data/gongduan.db"
DATABASE_SCHEMES = ("sqlite", "postgresql+psycopg")
AUDIENCE_DEFAULT = "gongduan"
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})


class BadSetting(Exception):
    """A variable of the environment that we cannot run with; the message names it and says what would do."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything an operator decides, read once. The table in docs/operations.md says what each is for."""

    database_url: str = field(default=DATABASE_URL_DEFAULT, repr=False)  # may hold a password
    host: str = "127.0.0.1"
    port: int = 8000
    rules_dir: Path = Path("rules")
    files_dir: Path = Path("data/files")
    log_level: str = "INFO"
    worker_threads: int = 8
    shutdown_seconds: int = 20
    body_bytes_max: int = 262_144
    upload_bytes_max: int = 10_485_760  # 单个文件不超过 10 MB
    body_seconds_max: int = 30
    rate_limit_per_minute: int = 240_000  # choice: more than one process serves; a bound, not a fair share
    demo: bool = False
    demo_key_path: Path = Path("data/demo-signing-key.pem")
    oidc_issuer: str | None = None
    oidc_audience: str = AUDIENCE_DEFAULT
    oidc_jwks_url: str | None = None
    api_key_environment: str = "local"
    payment_gateway_url: str | None = None
    payment_gateway_secret: str | None = field(default=None, repr=False)
    systems_secret: str | None = field(default=None, repr=False)

    @property
    def embedded(self) -> bool:
        """True on the SQLite file, where one process holds the database."""
        return self.database_url.startswith("sqlite")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read every variable; an empty one counts as not set.

        Raises:
            BadSetting: a value cannot be read, is out of range, or contradicts another.
        """
        read = _Reader(environ)
        database_url = read.secret("DATABASE_URL", _database_url) or DATABASE_URL_DEFAULT
        host = read.one("HOST", _host, cls.host)
        issuer = read.maybe("OIDC_ISSUER", _https_url)
        demo_by_default = issuer is None and database_url.startswith("sqlite") and _is_loopback(host)
        settings = cls(
            database_url=database_url,
            host=host,
            port=read.one("PORT", _between(0, 65_535), cls.port),
            rules_dir=read.one("RULES_DIR", Path, cls.rules_dir),
            files_dir=read.one("FILES_DIR", Path, cls.files_dir),
            log_level=read.one("LOG_LEVEL", _log_level, cls.log_level),
            worker_threads=read.one("WORKER_THREADS", _between(1, 256), cls.worker_threads),
            shutdown_seconds=read.one("SHUTDOWN_SECONDS", _between(1, 600), cls.shutdown_seconds),
            body_bytes_max=read.one("BODY_BYTES_MAX", _between(1_024, 16_777_216), cls.body_bytes_max),
            upload_bytes_max=read.one("UPLOAD_BYTES_MAX", _between(1_024, 10_485_760), cls.upload_bytes_max),
            body_seconds_max=read.one("BODY_SECONDS_MAX", _between(1, 600), cls.body_seconds_max),
            rate_limit_per_minute=read.one("RATE_LIMIT_PER_MINUTE", _between(0, 10_000_000), cls.rate_limit_per_minute),
            demo=read.one("DEMO", _yes_or_no, demo_by_default),
            demo_key_path=read.one("DEMO_KEY_PATH", Path, cls.demo_key_path),
            oidc_issuer=issuer,
            oidc_audience=read.one("OIDC_AUDIENCE", _word, AUDIENCE_DEFAULT),
            oidc_jwks_url=read.maybe("OIDC_JWKS_URL", _https_url),
            api_key_environment=read.one("API_KEY_ENVIRONMENT", _key_environment, cls.api_key_environment),
            payment_gateway_url=read.maybe("PAYMENT_GATEWAY_URL", _https_url),
            payment_gateway_secret=read.secret("PAYMENT_GATEWAY_SECRET", require_secret),
            systems_secret=read.secret("SYSTEMS_SECRET", require_secret),
        )
        settings._require_consistent()
        return settings

    def require_identity(self) -> None:
        """Refuse to serve when nobody could prove who they are.

        Raises:
            BadSetting: neither an identity provider nor the demo issuer is chosen.
        """
        if self.oidc_issuer is None and not self.demo:
            raise BadSetting(
                "OIDC_ISSUER",
                "set it and OIDC_JWKS_URL, or DEMO=1 for the built-in issuer and demo users (never in production)",
            )

    def _require_consistent(self) -> None:
        if self.demo and self.oidc_issuer is not None:
            raise BadSetting("DEMO", "the demo issuer cannot run beside OIDC_ISSUER; unset one of them")
        if self.oidc_issuer is not None and self.oidc_jwks_url is None:
            raise BadSetting("OIDC_JWKS_URL", "is needed with OIDC_ISSUER: where the provider publishes its keys")
        if self.oidc_jwks_url is not None and self.oidc_issuer is None:
            raise BadSetting("OIDC_ISSUER", "is needed with OIDC_JWKS_URL: the exact `iss` of its tokens")
        if (self.payment_gateway_url is None) != (self.payment_gateway_secret is None):
            missing = "URL" if self.payment_gateway_url is None else "SECRET"
            raise BadSetting(f"PAYMENT_GATEWAY_{missing}", "the gateway's address and secret go together")


class _Reader:
    """Reads one variable after the other and says which one is wrong."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def one(self, name: str, parse: Callable[[str], Value], default: Value) -> Value:
        value = self.maybe(name, parse)
        return default if value is None else value

    def maybe(self, name: str, parse: Callable[[str], Value]) -> Value | None:
        return self._parsed(name, self._environ.get(name, "").strip(), parse)

    def secret(self, name: str, parse: Callable[[str], Value]) -> Value | None:
        """NAME, or NAME_FILE with the path of a file that holds it."""
        path = self._environ.get(f"{name}_FILE", "").strip()
        if not path:
            return self.maybe(name, parse)
        if self._environ.get(name, "").strip():
            raise BadSetting(name, f"set {name} or {name}_FILE, not both")
        try:
            text = Path(path).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadSetting(f"{name}_FILE", f"cannot be read ({type(error).__name__})") from error
        if not text:
            raise BadSetting(f"{name}_FILE", "is empty")
        return self._parsed(f"{name}_FILE", text, parse)

    @staticmethod
    def _parsed(name: str, text: str, parse: Callable[[str], Value]) -> Value | None:
        if not text:
            return None
        try:
            return parse(text)
        except ValueError as error:
            raise BadSetting(name, str(error)) from error


def _between(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 12 and low <= int(text) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _yes_or_no(text: str) -> bool:
    if text.lower() in TRUE_WORDS:
        return True
    if text.lower() in FALSE_WORDS:
        return False
    raise ValueError("must be 1 or 0")


def _database_url(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if scheme in ("postgres", "postgresql") and separator:
        return f"postgresql+psycopg://{rest}"
    if scheme not in DATABASE_SCHEMES or not separator or not rest:
        raise ValueError("must start with sqlite:/// or postgresql+psycopg://")
    return text


def _https_url(text: str) -> str:
    """An https address without user, query secrets or fragment; plain http on loopback only."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.fragment:
        raise ValueError("must be an https address")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("must be https; plain http is for loopback only")
    return text


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _host(text: str) -> str:
    if any(character.isspace() or character in "/:@" for character in text) and not _is_ip(text):
        raise ValueError("must be an address or a host name")
    return text


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _log_level(text: str) -> str:
    if text.upper() not in logging.getLevelNamesMapping() or text.upper() == "NOTSET":
        raise ValueError("must be DEBUG, INFO, WARNING, ERROR or CRITICAL")
    return text.upper()


def _word(text: str) -> str:
    if len(text) > 255 or not text.isprintable():
        raise ValueError("must be at most 255 printable characters")
    return text


def _key_environment(text: str) -> str:
    if not (text.isascii() and text.isalnum() and text.islower() and len(text) <= 16):
        raise ValueError("must be up to 16 small letters and digits, as in rk_<environment>_...")
    return text
