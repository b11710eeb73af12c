"""The table of settings: name, default, unit, help and validator of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daguerre import environment, validation
from daguerre.validation import Validator, enum, float_range, int_range, pattern


def _setting(
    default: object, help: str, validator: Validator, *, secret: bool = False, variable: str = ""
) -> Any:
    """`variable` is what platforms set; it counts if `DAGUERRE_<NAME>` is not set."""
    metadata = {"help": help, "validator": validator, "secret": secret, "variable": variable}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class SettingsTable:
    """The fields of `daguerre.config.Settings`, with their defaults."""

    # Network
    host: str = _setting("127.0.0.1", "Address to listen on.", validation.host)
    port: int = _setting(
        8000,
        "Port to listen on. 0: any free port. The variable PORT, which platforms set, also counts.",
        int_range(0, 65535),
        variable=environment.PORT,
    )
    public_url: str = _setting(
        "",
        "URL at which clients reach the server, and with which links begin. Default:"
        " http://<host>:<port>, and for links the scheme and host of each request.",
        validation.url,
    )
    root_path: str = _setting(
        "",
        "Path prefix that a proxy does not remove. Paths with and without it are served, and links"
        " have it. Default: the path of public_url.",
        validation.path_prefix,
    )
    trusted_proxies: str = _setting(
        "",
        "Proxies whose X-Forwarded-For, -Host and -Proto headers are used: IP addresses or"
        " networks, separated by commas. Default: none.",
        validation.networks,
    )
    cors_origins: str = _setting(
        "",
        "Origins whose scripts may call the server from a browser, separated by commas, or * for"
        " all. null allows pages from files, and every sandboxed page. Default: none.",
        validation.origins,
    )
    request_read_timeout_s: float = _setting(
        20.0,
        "Seconds to wait for the head of a request, and then for its body.",
        float_range(0.05, 3600),
    )
    response_write_timeout_s: float = _setting(
        60.0, "Seconds to wait for a client to read its response.", float_range(0.05, 3600)
    )
    # Limits
    max_connections: int = _setting(
        512,
        "Maximum open connections. Above it, the connection that has been idle longest is closed;"
        " if none is idle, the new one gets 503.",
        int_range(1, 1_000_000),
    )
    max_connections_per_ip: int = _setting(
        256,
        "Maximum open connections per IP address. Above it, the address's oldest idle connection"
        " is closed; if none is idle, the new one gets 429. 0: no limit, for example behind a"
        " proxy.",
        int_range(0, 1_000_000),
    )
    max_request_body_bytes: int = _setting(
        256 * 1024, "Maximum size of a request body, in bytes.", int_range(1024, 64 * 1024**3)
    )
    max_concurrent_requests_per_key: int = _setting(
        64,
        "Maximum concurrent image requests per key. Above it, requests get 429. Servers that share"
        " a database divide it equally. 0: no limit.",
        int_range(0, 1_000_000),
    )
    max_queued_jobs: int = _setting(
        64,
        "Maximum queued jobs per model, in addition to `max_running_jobs` of each worker. When that"
        " many jobs are queued or running, requests get 503.",
        int_range(1, 100_000),
    )
    max_queued_prompt_bytes: int = _setting(
        4 * 1024 * 1024,
        "Maximum total size of the prompts of one model's jobs, in bytes. Above it, requests get"
        " 503.",
        int_range(1, 2**40),
    )
    request_timeout_s: float = _setting(
        600.0,
        "Seconds from the arrival of a request to its image. The header x-request-timeout can"
        " shorten it.",
        float_range(0.05, 86_400),
    )
    shutdown_delay_s: float = _setting(
        0.0,
        "Seconds to continue to serve after SIGTERM while /readyz answers 503, so that load"
        " balancers stop sending requests first.",
        float_range(0, 3600),
    )
    graceful_shutdown_timeout_s: float = _setting(
        0.0,
        "Seconds to wait for accepted requests after SIGTERM and shutdown_delay_s. Requests still"
        " running then get 503. 0: wait until each request's own deadline.",
        float_range(0, 86_400),
    )
    # Workers and models
    catalog: Path | None = _setting(
        None,
        "TOML file that lists the models to serve. Default: daguerre.toml in the data directory if"
        " it exists, otherwise the bundled model alone.",
        validation.path,
    )
    engine: str = _setting(
        "process",
        "Where images are generated. process: in worker processes of this server. ray: in the"
        " replicas of a Ray Serve application.",
        enum("process", "ray"),
    )
    ray_address: str = _setting(
        "",
        "Address of the Ray cluster: host:port, or auto for that of this machine's node. Default:"
        " a cluster on this machine alone, which ends with the server.",
        pattern(r"(auto|[\w.\[\]:-]+:\d+)?", "host:port, such as 10.0.0.1:6379, or auto"),
    )
    ray_node_ip_address: str = _setting(
        "",
        "IP address of this machine's Ray node, if it has several nodes.",
        pattern(r"[\d.a-fA-F:]*", "an IP address"),
    )
    ray_application: str = _setting(
        "daguerre",
        "Name of the Ray Serve application.",
        pattern(r"[a-z][a-z0-9-]{0,39}", "1 to 40 lower-case letters, digits and -"),
    )
    workers: int = _setting(
        1,
        "Number of worker processes. Each loads the models, and uses an equal share of the CPUs or"
        " a GPU of its own.",
        int_range(1, 64),
    )
    threads_per_worker: int = _setting(
        0,
        "Inference threads of each worker. 0: an equal share of the CPUs.",
        int_range(0, 1024),
    )
    max_running_jobs: int = _setting(
        8, "Maximum jobs that each worker runs concurrently.", int_range(1, 1024)
    )
    worker_hang_timeout_s: float = _setting(
        120.0,
        "Maximum seconds for one forward. A worker that takes longer is replaced.",
        float_range(1, 86_400),
    )
    model_load_timeout_s: float = _setting(
        600.0,
        "Maximum seconds to load the models, or to compile one part of a network. A worker that"
        " takes longer is replaced.",
        float_range(1, 86_400),
    )
    idle_unload_s: float = _setting(
        0.0, "Seconds without jobs until a checkpoint is unloaded. 0: never.", validation.idle_time
    )
    embedded_precision: str = _setting(
        "auto",
        "Arithmetic of the bundled model. auto: the faster type on this CPU.",
        enum("auto", "float32", "bfloat16"),
    )
    embedded_steps: int = _setting(
        0, "Denoising steps of the bundled model. 0: the model's default.", int_range(0, 46)
    )
    # Storage
    home: Path | None = _setting(
        None,
        "Data directory, for keys and state. Default on Linux: ~/.local/share/daguerre.",
        validation.path,
    )
    database_url: str = _setting(
        "",
        "SQLAlchemy URL of the database. Default: SQLite in the data directory.",
        validation.text,
        secret=True,
    )
    artifact_cache_max_bytes: int = _setting(
        128 * 1024**3,
        "Maximum size of the artifact cache (converted and compiled networks), in bytes. Least"
        " recently used entries are evicted first. 0: no cache.",
        int_range(0, 2**50),
    )
    image_store: str = _setting(
        "",
        "Where finished images are stored for signed URLs and replays: a directory or"
        " s3://bucket/prefix (with the usual AWS_ variables). Default: images in the data"
        " directory.",
        validation.directory_or_bucket,
    )
    image_store_max_bytes: int = _setting(
        1024**3,
        "Maximum size of the image store, in bytes. Least recently used images are evicted first."
        " 0: stores none; replays are generated again, and response_format=url gets 400.",
        int_range(0, 2**50),
    )
    cache_seeded_requests: bool = _setting(
        False,
        "Answer a request that names a seed from the image store if it has the image.",
        validation.boolean,
    )
    # Responses
    default_response_format: str = _setting(
        "b64_json",
        "Response format of requests that do not name one. A stream always carries its image.",
        enum("b64_json", "url"),
    )
    embed_prompt: bool = _setting(
        False, "Write the prompt into the metadata of image files.", validation.boolean
    )
    c2pa_certificate: Path | None = _setting(
        None,
        "PEM file with the certificate chain that signs Content Credentials (C2PA), the signer's"
        " certificate first. Default: files are not signed.",
        validation.path,
    )
    c2pa_private_key: Path | None = _setting(
        None, "PEM file with the private key of c2pa_certificate.", validation.path
    )
    signed_url_ttl_s: float = _setting(
        3600.0, "Seconds until a signed URL of an image expires.", float_range(1, 604_800)
    )
    signed_url_secret: str = _setting(
        "",
        "Secret that signs URLs; servers behind one address need the same. Required if image_store"
        " is a bucket. Default: a random one in the data directory.",
        validation.secret,
        secret=True,
    )
    # Log and traces
    log_level: str = _setting(
        "info", "Minimum level of log messages.", enum("debug", "info", "warning", "error")
    )
    log_format: str = _setting("console", "Format of log lines.", enum("console", "json"))
    tracing: bool = _setting(
        False,
        "Send OpenTelemetry traces of requests. The variables OTEL_EXPORTER_OTLP_... say where.",
        validation.boolean,
    )
