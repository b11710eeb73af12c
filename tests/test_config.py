"""The settings: flags, environment variables, defaults and error messages."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from daguerre import environment
from daguerre.config import Settings, secret_names
from daguerre.errors import SettingsError

SETTINGS = fields(Settings)
NAMES = [setting.name for setting in SETTINGS]
UNITS = ("_s", "_ms", "_bytes", "_px")
COUNTS = ("num_", "max_")
PLAIN_NUMBERS = ("port", "workers", "threads_per_worker", "embedded_steps")


@pytest.mark.parametrize("setting", SETTINGS, ids=NAMES)
def test_every_setting_has_help(setting: object) -> None:
    """The help of a setting is a sentence."""
    text = setting.metadata["help"]  # type: ignore[attr-defined]
    assert re.fullmatch(r"[A-Z].{10,}\.", text), text


@pytest.mark.parametrize("setting", SETTINGS, ids=NAMES)
def test_numbers_have_a_unit(setting: object) -> None:
    """The name of a number ends with its unit or starts as a count, with few exceptions."""
    name, kind = setting.name, setting.type  # type: ignore[attr-defined]
    if kind in ("int", "float") and name not in PLAIN_NUMBERS:
        assert name.endswith(UNITS) or name.startswith(COUNTS)


@pytest.mark.parametrize("name", NAMES)
def test_default_is_allowed(name: str) -> None:
    """A default given as a flag is accepted, and gives the same value."""
    default = getattr(Settings(), name)
    if default is not None:
        assert getattr(Settings.load({name: str(default)}, {}), name) == default


@pytest.mark.parametrize("name", NAMES)
def test_environment_variable(name: str) -> None:
    """Each setting has its own variable, `DAGUERRE_<NAME>`."""
    assert environment.variable_name(name) == f"DAGUERRE_{name.upper()}"
    kinds = {setting.name: str(setting.type) for setting in SETTINGS}
    by_kind = {"int": "7", "float": "2.5", "bool": "yes", "Path | None": "/data", "str": "other"}
    by_name = {
        "max_request_body_bytes": "3000",
        "engine": "ray",
        "ray_address": "10.0.0.1:6379",
        "ray_node_ip_address": "10.0.0.2",
        "embedded_precision": "float32",
        "log_level": "debug",
        "log_format": "json",
        "cors_origins": "https://app.example.com,http://localhost:5173",
        "public_url": "http://x",
        "root_path": "/images",
        "trusted_proxies": "10.0.0.0/8",
        "default_response_format": "url",
        "signed_url_secret": "x" * 32,
    }
    value = by_name.get(name, by_kind[kinds[name]])
    loaded = Settings.load({}, {environment.variable_name(name): value})
    changed = [other for other in NAMES if getattr(loaded, other) != getattr(Settings(), other)]
    assert changed == [name]


def test_flag_overrides_the_environment() -> None:
    """A flag overrides its variable; a flag that is not given does not."""
    environ = {"DAGUERRE_PORT": "9000", "DAGUERRE_HOST": "0.0.0.0"}
    settings = Settings.load({"port": "9001", "host": None}, environ)
    assert (settings.port, settings.host) == (9001, "0.0.0.0")


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("port", "65536", "an integer from 0 to 65535"),
        ("port", "-1", "an integer from 0 to 65535"),
        ("port", "80.5", "an integer"),
        ("request_read_timeout_s", "nan", "a number from 0.05 to 3600"),
        ("request_read_timeout_s", "inf", "a number from 0.05 to 3600"),
        ("request_read_timeout_s", "soon", "a number from 0.05 to 3600"),
        ("embedded_precision", "int4", "one of auto, float32, bfloat16"),
        ("embed_prompt", "maybe", "true or false"),
        ("host", "http://x", "a host name or an IP address"),
        ("public_url", "example.org", "begins with http:// or https://"),
        ("public_url", "http://", "with a host"),
        ("public_url", "http://x y", "with a host"),
        ("public_url", "http://x:port", "with a host"),
        ("public_url", "http://u:p@x", "with a host"),
        ("public_url", "http://x?a=1", "no ? or #"),
        ("public_url", "http://x\nexport A=1", "with a host"),
        ("root_path", "images", "a path that begins with /"),
        ("root_path", "/a//b", "a path that begins with /"),
        ("root_path", "/a b", "a path that begins with /"),
        ("trusted_proxies", "proxy.lan", "IP addresses or networks"),
        ("trusted_proxies", "10.0.0.1/8", "IP addresses or networks"),
        ("trusted_proxies", "127.0.0.1,*", "IP addresses or networks"),
        ("default_response_format", "base64", "one of b64_json, url"),
        ("image_store", "gs://bucket", "a directory, or a bucket such as s3://bucket/prefix"),
        ("image_store", "s3://", "a directory, or a bucket such as s3://bucket/prefix"),
        ("home", "/da\rta", "control characters"),
        ("home", "~nobody-of-this-name/x", "the ~ of an unknown user"),
        ("image_store", "~nobody-of-this-name/x", "a directory, or a bucket"),
        ("home", '"/data"', "without quotation marks around it"),
        ("catalog", "a\0b", "control characters"),
        ("image_store", "ima\nges", "a directory, or a bucket such as s3://bucket/prefix"),
        ("image_store", "'images'", "a directory, or a bucket such as s3://bucket/prefix"),
        ("image_store", "s3://bucket?x=1", "a directory, or a bucket such as s3://bucket/prefix"),
    ],
)
def test_bad_value(name: str, value: str, rule: str) -> None:
    """The error names the source, the value and the rule, in one line."""
    variable = environment.variable_name(name)
    for source, flags, environ in (
        ("--" + name.replace("_", "-"), {name: value}, {}),
        (variable, {}, {variable: value}),
    ):
        with pytest.raises(SettingsError) as caught:
            Settings.load(flags, environ)
        message = caught.value.message
        assert message.startswith(f"{source} is {value!r}; it must be ") and rule in message
        assert "\n" not in message


def test_urls_need_stored_images() -> None:
    """URLs by default are an error if no image is stored."""
    with pytest.raises(SettingsError, match="image_store_max_bytes is 0"):
        Settings.load({"default_response_format": "url", "image_store_max_bytes": "0"}, {})


@pytest.mark.parametrize(
    ("environ", "port"),
    [
        ({"PORT": "5000"}, 5000),
        ({"PORT": " 5000\r"}, 5000),
        ({"PORT": ""}, 8000),
        ({"PORT": "5000", "DAGUERRE_PORT": "9000"}, 9000),
        ({"PORT": "5000", "DAGUERRE_PORT": ""}, 5000),
        ({"PORT": "5000", "DAGUERRE_PORT": "tcp://10.0.171.239:8000"}, 5000),
    ],
)
def test_port_of_a_platform(environ: dict[str, str], port: int) -> None:
    """PORT counts if DAGUERRE_PORT is not set; a flag overrides both."""
    assert Settings.load({}, environ).port == port
    assert Settings.load({"port": "7000"}, environ).port == 7000


def test_bad_port_of_a_platform() -> None:
    """The error names the variable PORT."""
    with pytest.raises(SettingsError, match=r"^PORT is 'http'; it must be an integer"):
        Settings.load({}, {"PORT": "http"})


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"host": "0.0.0.0", "port": "9000"}, "http://127.0.0.1:9000"),
        ({"host": "::"}, "http://[::1]:8000"),
        ({"host": "::1"}, "http://[::1]:8000"),
        ({"host": "gpu.local"}, "http://gpu.local:8000"),
        ({"public_url": "https://images.example.org/"}, "https://images.example.org"),
        ({"root_path": "/images/"}, "http://127.0.0.1:8000/images"),
        ({"root_path": "/images", "public_url": "https://x/ai/images"}, "https://x/ai/images"),
    ],
)
def test_url(values: dict[str, str], url: str) -> None:
    """The URL for clients has no wildcard address and no trailing slash; IPv6 is in brackets."""
    assert Settings.load(values, {}).public_base_url() == url


@pytest.mark.parametrize(
    ("values", "prefix"),
    [
        ({}, ""),
        ({"root_path": "/"}, ""),
        ({"root_path": "/images/"}, "/images"),
        ({"public_url": "https://x"}, ""),
        ({"public_url": "https://x/ai%20images/"}, "/ai images"),
        ({"public_url": "https://x/ai/images", "root_path": "/images"}, "/images"),
    ],
)
def test_path_prefix(values: dict[str, str], prefix: str) -> None:
    """The prefix is `root_path`, or the path of `public_url`."""
    assert Settings.load(values, {}).path_prefix() == prefix


def test_empty_variable_is_unset() -> None:
    """An empty variable is unset; an empty flag is a value."""
    environ = {environment.variable_name(name): "" for name in NAMES}
    assert Settings.load({}, environ) == Settings()
    for name, rule in (("port", "an integer"), ("home", "a path"), ("host", "a host name")):
        with pytest.raises(SettingsError, match=f"--{name} is ''; it must be {rule}"):
            Settings.load({name: ""}, {})


@pytest.mark.parametrize("name", ["DAGUERRE_WORKES", "DAGUERRE_Workers", "DAGUERRE_workers"])
def test_misspelt_variable(name: str) -> None:
    """A variable that resembles a setting is a typo; others may belong to another program."""
    message = f"^unknown environment variable {name}; did you mean DAGUERRE_WORKERS\\?$"
    with pytest.raises(SettingsError, match=message):
        Settings.load({}, {name: "2"})
    others = ("DAGUERRE_URL", "DAGUERRE_KEY", "MY_DAGUERRE_WORKES")
    assert Settings.load({}, dict.fromkeys(others, "x")) == Settings()


@pytest.mark.parametrize("service", ["DAGUERRE", "DAGUERRE_PUBLIC", "DAGUERRE_WORKERS"])
def test_variables_of_kubernetes_are_ignored(service: str) -> None:
    """The variables of a Service are neither settings nor typos; a port of one's own counts."""
    ip, address = "10.0.171.239", "tcp://10.0.171.239:8000"
    links = {
        "SERVICE_HOST": ip,
        "SERVICE_PORT": "8000",
        "SERVICE_PORT_HTTP": "8000",
        "PORT": address,
        "PORT_8000_TCP": address,
        "PORT_8000_TCP_PROTO": "tcp",
        "PORT_8000_TCP_PORT": "8000",
        "PORT_8000_TCP_ADDR": ip,
    }
    environ = {f"{service}_{name}": value for name, value in links.items()}
    assert Settings.load({}, environ) == Settings()
    assert Settings.load({}, environ | {"DAGUERRE_PORT": "9000"}) == Settings(port=9000)
    with pytest.raises(SettingsError, match="DAGUERRE_PORT is 'http://10.0.0.1:8000'"):
        Settings.load({}, environ | {"DAGUERRE_PORT": "http://10.0.0.1:8000"})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("port", "9000\r", 9000),
        ("host", " 0.0.0.0\r", "0.0.0.0"),
        ("home", "/data\r", Path("/data")),
        ("database_url", "sqlite:///x.db\r\n", "sqlite:///x.db"),
        ("signed_url_secret", "x" * 32 + "\r", "x" * 32),
        ("log_level", "INFO", "info"),
        ("log_format", "Json\r", "json"),
        *(("embed_prompt", word, True) for word in ("TRUE", "t", "Yes", "y", "on", "1\r")),
        *(("cache_seeded_requests", word, False) for word in ("False", "f", "NO", "n", "off", "0")),
        ("catalog", " \t\r", None),
    ],
)
def test_white_space_and_capitals(name: str, value: str, expected: object) -> None:
    """White space at both ends of a variable, also of an env file with CRLF, does not count."""
    environ = {environment.variable_name(name): value}
    assert getattr(Settings.load({}, environ), name) == expected


def test_long_value_is_shortened() -> None:
    """The error for a long value shows its beginning and its end."""
    with pytest.raises(SettingsError) as caught:
        Settings.load({}, {"DAGUERRE_PORT": "1" * 100_000})
    assert len(caught.value.message) < 250 and "DAGUERRE_PORT is '111" in caught.value.message


def test_rejected_secret_is_not_shown() -> None:
    """The error for a secret that is too short does not contain it."""
    with pytest.raises(SettingsError, match="at least 32 characters") as caught:
        Settings.load({"signed_url_secret": "hunter2"}, {})
    assert "hunter2" not in caught.value.message


def test_secrets_are_redacted() -> None:
    """Redacted settings have no secret, but show whether one is set."""
    shown = Settings.load({"database_url": "postgresql://u:hunter2@h/d"}, {}).redacted()
    assert "hunter2" not in str(shown) and shown["database_url"] == "***"
    assert Settings().redacted()["database_url"] == ""
    assert list(shown) == NAMES


def test_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data directory is `home` with ~ expanded, or the platform's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings.load({"home": "~/data"}, {}).data_dir() == tmp_path / "data"
    default = Settings().data_dir()
    assert default.name == "daguerre" and default.is_absolute() and not default.exists()
    assert Settings.load({"image_store": "~/x"}, {}).image_store == str(tmp_path / "x")


@pytest.mark.parametrize(
    ("sent", "parsed"),
    [
        ("127.0.0.1, 10.0.0.0/8", "127.0.0.1/32,10.0.0.0/8"),
        ("::ffff:10.0.0.0/104,::ffff:10.1.2.3", "10.0.0.0/8,10.1.2.3/32"),
        ("fd00::/8", "fd00::/8"),
    ],
)
def test_networks_of_proxies(sent: str, parsed: str) -> None:
    """IPv4 in IPv6 is IPv4, because so are the addresses of clients."""
    assert Settings.load({"trusted_proxies": sent}, {}).trusted_proxies == parsed


def test_settings_are_frozen() -> None:
    """Settings are immutable."""
    with pytest.raises(FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


def test_user_without_a_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the platform knows no home directory, the error names the flag to use."""

    def homeless(name: str) -> None:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("platformdirs.user_data_path", homeless)
    with pytest.raises(SettingsError, match="--home"):
        Settings().data_dir()


@pytest.mark.parametrize("name", sorted(secret_names()))
def test_secret_in_a_file(tmp_path: Path, name: str) -> None:
    """A flag or a variable can name a file with a secret; a flag overrides all variables."""
    file, secret = tmp_path / "secret", "s" * 40
    file.write_text(f"\ufeff {secret}\r\n", encoding="utf-8")  # as Windows editors write it
    variable, path = environment.variable_name(name), str(file)
    for flags, environ in (
        ({f"{name}_file": path}, {}),
        ({}, {f"{variable}_FILE": path}),
        ({f"{name}_file": path}, {variable: "v" * 40}),
        ({name: secret}, {f"{variable}_FILE": str(tmp_path / "missing")}),
    ):
        assert getattr(Settings.load(flags, environ), name) == secret
    assert Settings.load({}, {f"{variable}_FILE": ""}) == Settings()


@pytest.mark.parametrize("name", sorted(secret_names()))
def test_secret_given_twice(name: str) -> None:
    """A secret and its file at once are an error that names both and shows neither."""
    variable, flag = environment.variable_name(name), "--" + name.replace("_", "-")
    for source, flags, environ in (
        (flag, {name: "s" * 40, f"{name}_file": "/file"}, {}),
        (variable, {}, {variable: "s" * 40, f"{variable}_FILE": "/file"}),
    ):
        with pytest.raises(
            SettingsError, match=f"^{source} and {source}.(file|FILE) are both"
        ) as caught:
            Settings.load(flags, environ)
        assert "sss" not in caught.value.message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "an empty file"),
        (b" \n", "an empty file"),
        (b"\xff" * 40, "cannot read it"),
        (b"short", "is \\*\\*\\*; it must be at least 32"),
    ],
)
def test_bad_secret_file(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """A secret file without a valid secret is an error of one line."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(
        SettingsError, match=f"^DAGUERRE_SIGNED_URL_SECRET_FILE.*{reason}"
    ) as caught:
        Settings.load({}, {"DAGUERRE_SIGNED_URL_SECRET_FILE": str(file)})
    assert "\n" not in caught.value.message and "short" not in caught.value.message


def test_misspelt_variable_of_a_file() -> None:
    """A typo in the variable of a secret's file is found."""
    with pytest.raises(SettingsError, match="did you mean DAGUERRE_DATABASE_URL_FILE?"):
        Settings.load({}, {"DAGUERRE_DATABSE_URL_FILE": "/x"})
