"""The settings: one frozen table of name, default, unit, help and environment variable.

Flags, environment variables and the reference page are made from it. A value comes from the flag,
else from the environment (`DAGUERRE_<NAME>`), else from the default. Imports nothing of the package
but the errors and how values are read, and touches no disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from daguerre import validation
from daguerre.errors import SettingsError


def _setting(
    default: object, help: str, parse: Callable[[str], object], *, secret: bool = False
) -> Any:
    return field(default=default, metadata={"help": help, "parse": parse, "secret": secret})


def _choice_setting(default: str, help: str, *allowed: str) -> Any:
    return _setting(default, f"{help}: {', '.join(allowed)}.", validation.choice(allowed))


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings with their defaults; `Settings.load` reads flags and the environment."""

    host: str = _setting("127.0.0.1", "Address to listen on.", validation.host)
    port: int = _setting(8000, "Port to listen on; 0 takes a free one.", validation.whole(0, 65535))
    home: Path | None = _setting(
        None, "Data folder: keys and state. Default: the platform's data folder.", validation.path
    )
    catalog: Path | None = _setting(
        None,
        "Catalog: a TOML file of the models to serve. Default: daguerre.toml in the data folder,"
        " where there is one; else the embedded model alone.",
        validation.path,
    )
    database_url: str = _setting(
        "", "SQLAlchemy URL of the database. Default: SQLite in the data folder.", str, secret=True
    )
    public_url: str = _setting(
        "", "URL that clients reach the server at. Default: http://<host>:<port>.", validation.url
    )
    cors_origins: str = _setting(
        "",
        "Sites whose scripts may call the server from a browser: origins with commas between them,"
        " or * for all. Default: none.",
        validation.origins,
    )
    max_request_body_bytes: int = _setting(
        256 * 1024, "Largest request body, in bytes.", validation.whole(1024, 64 * 1024 * 1024)
    )
    request_read_timeout_s: float = _setting(
        20.0,
        "Time in which a request body must have arrived, in seconds.",
        validation.number(0.05, 3600),
    )
    max_connections: int = _setting(
        512,
        "Connections that may be open; past it an idle one makes room, else there is 503.",
        validation.whole(1, 1_000_000),
    )
    max_connections_per_ip: int = _setting(
        256,
        "Connections of these that one address may have; past it an idle one of its own makes room,"
        " else there is 429; 0 sets no limit, as where all come from a proxy.",
        validation.whole(0, 1_000_000),
    )
    response_write_timeout_s: float = _setting(
        60.0,
        "Time in which a client must have taken its answer, in seconds.",
        validation.number(0.05, 3600),
    )
    max_queued_jobs: int = _setting(
        64,
        "Jobs of each model that may wait; past it requests get 503.",
        validation.whole(1, 100_000),
    )
    max_queued_prompt_bytes: int = _setting(
        4 * 1024 * 1024,
        "Bytes that the prompts of each model's jobs may have together; past it requests get 503.",
        validation.whole(1, 2**40),
    )
    max_running_jobs: int = _setting(
        8, "Jobs that a worker has side by side, step by step.", validation.whole(1, 1024)
    )
    workers: int = _setting(
        1,
        "Processes that the engine runs in, each with the models in memory and its share of the"
        " cores; on GPUs each has one of them.",
        validation.whole(1, 64),
    )
    max_concurrent_requests_per_key: int = _setting(
        64,
        "Requests for images that one key may have under way; past it 429; 0 sets no limit.",
        validation.whole(0, 1_000_000),
    )
    request_timeout_s: float = _setting(
        600.0,
        "Time a request may take from arrival to image, in seconds; the header x-request-timeout"
        " sets less.",
        validation.number(0.05, 86_400),
    )
    graceful_shutdown_timeout_s: float = _setting(
        0.0,
        "Time for accepted requests after SIGTERM, in seconds; what is not done by then gets 503."
        " 0 gives each the time that it has anyway.",
        validation.number(0, 86_400),
    )
    threads_per_worker: int = _setting(
        0,
        "Threads for the networks, in each worker; 0 takes its share of the cores.",
        validation.whole(0, 1024),
    )
    worker_hang_timeout_s: float = _setting(
        120.0,
        "Time a forward may take; then the engine counts as hung and is replaced, in seconds.",
        validation.number(1, 86_400),
    )
    artifact_cache_max_bytes: int = _setting(
        128 * 1024**3,
        "Disk for networks of checkpoints that were converted or compiled, in bytes; past it those"
        " go that were used longest ago; 0 keeps none.",
        validation.whole(0, 2**50),
    )
    model_load_timeout_s: float = _setting(
        600.0,
        "Time that loading the models, or a part of preparing a checkpoint's network, may take;"
        " then the engine is replaced, in seconds.",
        validation.number(1, 86_400),
    )
    embedded_precision: str = _choice_setting(
        "auto",
        "Arithmetic of the embedded model, where auto takes the faster here",
        "auto",
        "float32",
        "bfloat16",
    )
    embedded_steps: int = _setting(
        0,
        "Denoising steps of the embedded model; 0 takes the model's own.",
        validation.whole(0, 46),
    )
    embed_prompt: bool = _setting(
        False, "Write the prompt into the provenance of the files.", validation.boolean
    )
    results_max_bytes: int = _setting(
        256 * 1024 * 1024,
        "Disk for finished files that may be asked for again, in bytes; 0 keeps none.",
        validation.whole(0, 2**50),
    )
    cache_seeded_requests: bool = _setting(
        False,
        "Answer a request that names a seed from the files kept, if it is there.",
        validation.boolean,
    )
    default_response_format: str = _choice_setting(
        "b64_json",
        "How an image is answered where the request does not say it; a stream carries the image",
        "b64_json",
        "url",
    )
    files_url: str = _setting(
        "",
        "Where files behind links are kept: a folder, or s3://bucket/prefix (with the usual"
        " AWS_ variables). Default: files in the data folder.",
        validation.files_url,
    )
    files_max_age_s: float = _setting(
        3600.0,
        "Time for which a link is good, and its file is kept, in seconds.",
        validation.number(1, 604_800),
    )
    files_max_bytes: int = _setting(
        1024**3,
        "Bound on the files behind links, in bytes; past it the oldest go.",
        validation.whole(64 * 1024 * 1024, 2**50),
    )
    files_secret: str = _setting(
        "",
        "Secret that links are signed with; servers that share files need the same. Default: one"
        " that is made in the data folder.",
        validation.secret,
        secret=True,
    )
    log_level: str = _choice_setting(
        "info", "Least level of the log", "debug", "info", "warning", "error"
    )
    log_format: str = _choice_setting("console", "Form of the log's lines", "console", "json")

    @classmethod
    def load(
        cls, flags: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None
    ) -> Settings:
        """Flags whose value is None were not given. Raises `SettingsError` for a bad value."""
        environ = os.environ if environ is None else environ
        given = {name: value for name, value in (flags or {}).items() if value is not None}
        chosen: dict[str, object] = {}
        for setting in fields(cls):
            variable = environment_variable(setting.name)
            if setting.name in given:
                source, value = "--" + setting.name.replace("_", "-"), given.pop(setting.name)
            elif variable in environ:
                source, value = variable, environ[variable]
            else:
                continue
            chosen[setting.name] = _parse(setting, source, value)
        assert not given, f"flags without a setting: {given}. This is a bug."
        return cls(**chosen)  # type: ignore[arg-type]

    def home_folder(self) -> Path:
        """The data folder: `home`, or the platform's."""
        if self.home is not None:
            return self.home
        import platformdirs

        try:
            return platformdirs.user_data_path("daguerre")
        except RuntimeError:
            raise SettingsError(
                "this user has no home folder; name a data folder with --home or DAGUERRE_HOME"
            ) from None

    def url(self) -> str:
        """The address for clients, without a trailing slash."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host and host[0] != '[' else host}:{self.port}"

    def origins(self) -> tuple[str, ...]:
        """Of the sites whose scripts may call the server."""
        return tuple(origin for origin in self.cors_origins.split(",") if origin)

    def masked(self) -> dict[str, object]:
        """Name -> value for printing, secrets replaced."""
        shown = {setting.name: getattr(self, setting.name) for setting in fields(self)}
        secrets = {setting.name for setting in fields(self) if setting.metadata["secret"]}
        return {
            name: "***" if name in secrets and value else value for name, value in shown.items()
        }


def _parse(setting: Field[Any], source: str, value: object) -> object:
    if not isinstance(value, str):
        value = str(value)
    try:
        return setting.metadata["parse"](value)
    except ValueError as error:
        shown = "***" if setting.metadata["secret"] else repr(value)
        raise SettingsError(f"{source} is {shown}; it must be {error}") from None


def environment_variable(name: str) -> str:
    return "DAGUERRE_" + name.upper()
