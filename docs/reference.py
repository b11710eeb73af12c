"""Generates docs/reference/*.md from the code.

    python docs/reference.py           write the pages
    python docs/reference.py --check   fail if a page is out of date

Sources: `daguerre.config`, the request schema, the exceptions, the metrics, the commands and the
tables of the catalog, families, samplers and step caches. Only headings, introductions, the order
and the meaning of the keys of the catalog are written here.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import click
from prometheus_client import Metric

from daguerre import environment, errors
from daguerre.cli.main import program
from daguerre.config import Settings, secret_names
from daguerre.engine.ended_jobs import OUTCOMES
from daguerre.engine.interface import EngineStats, WorkerStats
from daguerre.errors import DaguerreError, InternalError
from daguerre.models.checkpoint_table import KEYS
from daguerre.models.diffusers.caches import METHODS
from daguerre.models.diffusers.distillation import KINDS, Kind
from daguerre.models.diffusers.families import FAMILIES
from daguerre.models.diffusers.family import Family
from daguerre.models.diffusers.samplers import EDM, FLOW, NOISE, SAMPLERS
from daguerre.params import MAX_PROMPT_CODE_POINTS, ImageParams, Timings
from daguerre.protocol.parsing import describe_constraint, field_schemas
from daguerre.server.http.errors import MAX_REASON_CHARS
from daguerre.server.http.http_stats import HttpStats
from daguerre.server.http.request_context import RequestContext
from daguerre.server.routes.metrics import Metrics

FOLDER = Path(__file__).parent / "reference"
_MADE = "<!-- Made by `python docs/reference.py`; edit the code instead. -->\n\n"
_GUIDE, _PERFORMANCE = "../guides/checkpoints.md", "../performance.md"
_CONCEPTS = "../concepts/checkpoints.md"
_OWN = "the checkpoint's own"
_FAMILY = "that of the [family](families.md)"

# Key of a checkpoint in the catalog -> meaning and default. Links start at the page.
MEANINGS = {
    "path": ("The checkpoint; a relative path starts at the catalog's directory.", ""),
    "repo": ("Instead of `path`: a repository of a hub.", ""),
    "revision": ("With `repo`: the commit.", ""),
    "base": (
        f"With the `path` of a file: [what the file lacks]({_GUIDE}#serve-a-single-file).",
        "none",
    ),
    "vae": (f"[Another VAE]({_GUIDE}#use-another-vae-or-denoiser).", _OWN),
    "unet": (
        f"[Another denoiser]({_GUIDE}#use-another-vae-or-denoiser) of a pipeline whose denoiser"
        " has this name; also a `.gguf` file.",
        _OWN,
    ),
    "transformer": (
        f"[Another denoiser]({_GUIDE}#use-another-vae-or-denoiser) of a pipeline whose denoiser"
        " has this name; also a `.gguf` file.",
        _OWN,
    ),
    "loras": (f"[LoRAs]({_GUIDE}#add-loras), which are added to the weights.", "none"),
    "embeddings": (f"[Textual inversions]({_GUIDE}#add-textual-inversions).", "none"),
    "sampler": (f"[Another sampler]({_GUIDE}#choose-a-sampler).", _OWN),
    "clip_skip": (f"[Last layers of CLIP]({_GUIDE}#skip-layers-of-clip) to leave out.", "none"),
    "steps": ("Steps of an image.", _FAMILY),
    "guidance": ("Guidance scale.", _FAMILY),
    "extra_sizes": (f"[Sizes besides the nine]({_CONCEPTS}#check-your-pipeline).", "none"),
    "native_size": (
        f"[Side of the training images]({_CONCEPTS}#check-your-pipeline) in pixels; 0 draws every"
        " size directly.",
        _OWN,
    ),
    "device": (
        f"[Device]({_PERFORMANCE}#choose-the-device-and-the-precision); `cuda` is one GPU per"
        " worker.",
        "`auto`",
    ),
    "dtype": (
        f"[Type of the weights]({_PERFORMANCE}#choose-the-device-and-the-precision).",
        "`auto`",
    ),
    "tf32": (f"`true` allows TF32 on a [CUDA device]({_PERFORMANCE}#cuda-devices).", "`false`"),
    "executor": (f"[How denoiser and decoder run]({_PERFORMANCE}#choose-an-executor).", "`auto`"),
    "quantization": (
        f"[8-bit weights for the denoiser]({_PERFORMANCE}#quantize-the-denoiser).",
        "none",
    ),
    "cache": (f"[Step cache]({_PERFORMANCE}#use-a-step-cache).", "none"),
    "offload": (f"[Weights wait in the host's memory]({_PERFORMANCE}#offload-weights).", "none"),
    "batching": (f"[Verified or unverified batches]({_PERFORMANCE}#tune-batching).", "`exact`"),
    "max_batch_size": (
        "Rows in one forward pass of the denoiser; 1 disables batching.",
        "8; 1 on a CPU with fewer than 4 threads",
    ),
    "load": (f"[When the model is loaded]({_GUIDE}#serve-several-models).", "`startup`"),
    "idle_unload_s": (
        f"Seconds without jobs until it [is unloaded]({_GUIDE}#serve-several-models); 0: never.",
        "the [setting](settings.md) `idle_unload_s`",
    ),
    "name": (
        "The checkpoint's name in the metadata of the files.",
        "the name of the directory, file or repository",
    ),
}


def settings_page() -> str:
    rows = (
        f"| `{s.name}` | {'unset' if s.default in (None, '') else f'`{s.default}`'} |"
        f" {s.metadata['help']} |"
        f" {s.metadata['validator'].allowed} | `{environment.variable_name(s.name)}` |"
        for s in fields(Settings)
    )
    return _page(
        "Settings",
        "A flag, such as `--max-queued-jobs`, overrides the environment variable, which overrides"
        " the default. An empty variable is unset, and white space at both ends of a variable is"
        " removed. Words may have capitals: `INFO`, `True`.\n\n"
        "Other users can see flags in the list of processes. Each secret"
        f" ({', '.join(f'`{name}`' for name in sorted(secret_names()))}) can therefore be in a"
        " file, as Docker and Kubernetes mount them: the flag or variable with `-file` or `_FILE`"
        " at its end names the file, such as `DAGUERRE_DATABASE_URL_FILE=/run/secrets/database`."
        " White space at both ends of the file is removed.\n\n"
        "Kubernetes sets variables such as `DAGUERRE_PORT=tcp://10.0.0.1:8000` for a Service named"
        " `daguerre`. The server ignores them, and logs a warning about `DAGUERRE_PORT`; set"
        " `enableServiceLinks: false` in the pod to avoid them.",
        _table(("name", "default", "meaning", "allowed", "environment"), rows),
    )


def fields_page() -> str:
    rows = (
        f"| `{name}` | {describe_constraint(schema)} | {_default(schema)} |"
        f" {schema['description']} |"
        for name, schema in field_schemas().items()
    )
    return _page(
        "Fields of POST /v1/images/generations",
        "The body is a JSON object in UTF-8, with any Content-Type. `null` means not given. Unknown"
        " fields are rejected, unless `allow_ignored_params` is true.",
        _table(("field", "must be", "default", "meaning"), rows),
    )


def _default(schema: dict[str, object]) -> str:
    return f"`{json.dumps(schema['default'])}`" if "default" in schema else ""


def errors_page() -> str:
    rows = (
        f"| {kind.status} | `{kind.type}` | `{kind.__name__}` | {_summary(kind)} |"
        for kind in sorted(_kinds(DaguerreError), key=lambda k: (k.status, k.__name__))
    )
    body = '{"error": {"code": 400, "message": "...", "type": "...", "param": "size"}}'
    return _page(
        "Errors",
        f"All errors have this body; `param` may be null:\n\n```json\n{body}\n```\n\nThe reason"
        f" phrase of the status line has the first words of the message: at most {MAX_REASON_CHARS}"
        " characters of ASCII.",
        _table(("status", "type", "exception", "meaning"), rows),
    )


def _summary(kind: type[DaguerreError]) -> str:
    return " ".join((kind.__doc__ or "").split())


def _kinds(kind: type[DaguerreError]) -> Iterator[type[DaguerreError]]:
    for child in kind.__subclasses__():
        if child is not errors.SettingsError and child.__module__ == errors.__name__:
            yield child
            yield from _kinds(child)


def metrics_page() -> str:
    rows = (
        f"| `{_sample_name(metric)}` | {metric.type} | {_labels(metric)} | {metric.documentation} |"
        for metric in _metrics()
    )
    return _page(
        "Metrics",
        "`GET /metrics` returns these in Prometheus' text format, and the `process_` metrics of the"
        " Prometheus client for the server process. It needs no API key."
        " They are at most one second old.",
        _table(("name", "type", "labels", "meaning"), rows),
    )


def _metrics() -> list[Metric]:
    """All metrics, each with the samples of one request and one worker."""
    worker = WorkerStats(is_ready=True, num_jobs=0, restarts={"crash": 0})
    stats = EngineStats(
        ended={"": dict.fromkeys(OUTCOMES, 0)}, workers=(worker,), certificates={"denoiser": True}
    )
    engine = SimpleNamespace(stats=lambda: stats, models=lambda: [SimpleNamespace(id="")])
    http_stats = HttpStats(num_rejected={"max_connections": 0})
    metrics = Metrics(engine, lambda: http_stats)  # type: ignore[arg-type]
    context = RequestContext("", "", timings=Timings(), params=ImageParams("", ""), cache="miss")
    context.error = InternalError("")
    metrics.observe(context)
    families = metrics._registry.collect()
    own = (metric for metric in families if metric.name.startswith("daguerre_"))
    return sorted(own, key=lambda metric: metric.name)


def _sample_name(metric: Metric) -> str:
    return metric.name + ("_total" if metric.type == "counter" else "")


def _labels(metric: Metric) -> str:
    names = {name for sample in metric.samples for name in sample.labels} - {"le"}
    return ", ".join(f"`{name}`" for name in sorted(names))


def families_page() -> str:
    head = (
        *("checkpoints", "pipeline", "networks", "steps", "guidance"),
        *("negative prompt", "longest prompt", "LoRA", "caches", "notes"),
    )
    return _page(
        "Families of checkpoints",
        "The pipelines of diffusers that daguerre serves, with the default steps and guidance. The"
        " catalog can change both. A prompt over the limit is rejected.",
        _table(head, map(_family_row, _families()))
        + "\n\n## Distilled checkpoints\n\nThey need few steps and other guidance, which are the"
        " defaults if a checkpoint is recognized as distilled: by its configuration, by the title"
        " in a file's metadata (`modelspec.title`), or by a word in the name of the file, directory"
        " or repository. A number of steps, such as `8step`, counts. The log says what decided."
        " A single file also gets the sampler.\n\n"
        + _table(
            ("kind", "pipelines", "configuration", "words", "steps", "guidance", "sampler"),
            map(_kind_row, KINDS),
        ),
    )


def _kind_row(kind: Kind) -> str:
    cells = (
        kind.name,
        _codes(kind.pipelines),
        kind.configuration,
        f"`{kind.words}`".replace("|", "\\|") if kind.words else "",
        str(kind.steps),
        "the family's" if kind.guidance is None else f"{kind.guidance:g}",
        f"`{kind.sampler['_class_name']}`" if kind.sampler else "",
    )
    return f"| {' | '.join(cells)} |"


def _families() -> Iterator[Family]:
    """Each family, followed by its distilled variant."""
    for family in FAMILIES.values():
        yield family
        if family.distilled:
            yield replace(family, **family.distilled)


def _family_row(family: Family) -> str:
    limit = family.max_prompt_tokens()
    cells = (
        family.checkpoints,
        f"`{family.pipeline}`",
        _codes((*family.text_encoders, family.denoiser, "vae")),
        str(family.steps),
        "none" if family.guidance is None else f"{family.guidance:g}",
        "yes" if family.has_negative_prompt else "no",
        f"{limit} tokens" if limit else f"{MAX_PROMPT_CODE_POINTS:,} characters",
        "yes" if family.has_loras else "no",
        _codes(sorted(family.caches)),
        family.notes,
    )
    return f"| {' | '.join(cells)} |"


def catalog_page() -> str:
    assert set(MEANINGS) == set(KEYS), set(MEANINGS) ^ set(KEYS)
    rows = (
        f"| `{name}` | {meaning} | {_escape(KEYS[name].rule)} | {default} |"
        for name, (meaning, default) in MEANINGS.items()
    )
    return _page(
        "Keys of the catalog",
        "The catalog is `daguerre.toml` in the data directory, or the file of `--catalog`. Each"
        ' model ID has a table, such as `[models.dreamy]`. Its key `source` is `"embedded"`, for'
        ' the bundled model, which has no other key, or `"diffusers"`, with the keys below. A table'
        " has either `path`, or `repo` and `revision`.\n\n"
        "The server exits if a key is unknown or a value is not allowed. The message names the\n"
        "file, the table, the key and the allowed values.",
        _table(("key", "meaning", "must be", "default"), rows),
    )


def caches_page() -> str:
    return _page(
        "Step caches",
        "Values of `method` in the catalog's key `cache`, with their other options. FasterCache and"
        " Pyramid Attention Broadcast are not supported, because they keep one state for both"
        " predictions of a guided step. MagCache is not, because it needs figures measured for each"
        " checkpoint.",
        _table(("method", "effect", "options", "pipelines"), _cache_rows()),
    )


def _cache_rows() -> Iterator[str]:
    for name, method in METHODS.items():
        options = "; ".join(
            f"`{key}`: {validator.rule} (default: {method.defaults.get(key, 'none')})"
            for key, validator in method.keys.items()
        )
        pipelines = _codes(f.pipeline for f in FAMILIES.values() if name in f.caches)
        yield f"| `{name}` | {method.description} | {options} | {pipelines} |"


def samplers_page() -> str:
    rows = (f"| {_KINDS[kind]} | {_codes(sorted(names))} |" for kind, names in SAMPLERS.items())
    return _page(
        "Samplers",
        "Values of `class` in the catalog's key `sampler`: scheduler classes of diffusers, by what"
        " the checkpoint's denoiser predicts. Its own sampler shows that. The other keys of the"
        " table are parameters of the class.",
        _table(("denoiser", "classes"), rows),
    )


_KINDS = {
    NOISE: "predicts noise, velocity or the image: Stable Diffusion 1.x, 2.x, SDXL, PixArt-Σ",
    FLOW: "is trained for flow matching: the other families",
    EDM: "is trained in the EDM formulation: Playground 2.5, as a directory",
}


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def commands_page() -> str:
    parts = []
    for path, command in _commands(program, ("daguerre",)):
        name = " ".join(path)
        context = click.Context(
            command, info_name=name, terminal_width=88, **program.context_settings
        )
        parts.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return _page(
        "Commands",
        "What `--help` prints. The exit status is 0 for success, 1 for a failure, 2 for a wrong"
        " option, variable or file, and 130 after Ctrl-C. An error is one line on stderr.",
        "\n".join(parts),
    )


def _commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _commands(child, (*path, name))


def _page(title: str, text: str, content: str) -> str:
    """A page with its introduction wrapped; code blocks of the introduction stay as they are."""
    first, *rest = text.split("\n", 1)
    intro = "\n".join((textwrap.fill(first, 118, break_on_hyphens=False), *rest))
    return f"{_MADE}# {title}\n\n{intro}\n\n{content}".rstrip() + "\n"


def _escape(text: str) -> str:
    return text.replace("<", "&lt;")


def _table(head: tuple[str, ...], rows: Iterator[str]) -> str:
    return "\n".join((f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows))


PAGES = {
    "catalog.md": catalog_page,
    "settings.md": settings_page,
    "fields.md": fields_page,
    "errors.md": errors_page,
    "metrics.md": metrics_page,
    "families.md": families_page,
    "caches.md": caches_page,
    "samplers.md": samplers_page,
    "commands.md": commands_page,
}


def stale() -> list[str]:
    """Names of pages that differ from the generated ones."""
    return [
        name
        for name, page in PAGES.items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_text(encoding="utf-8") != page()
    ]


def main() -> None:
    if "--check" in sys.argv[1:]:
        if pages := stale():
            sys.exit(f"out of date: {', '.join(pages)}; run: python docs/reference.py")
        return
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
