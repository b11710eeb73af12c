"""Checkpoints pulled from a local hub: completely or not at all, and never any code."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from no_network import side_effects

from daguerre import factory, model_factory
from daguerre.cli import main
from daguerre.config import Settings
from daguerre.errors import SettingsError
from daguerre.models import catalog
from daguerre.models.diffusers import hub, hub_download

# Older versions, which the lowest version of tokenizers brings, raise other errors.
pytest.importorskip("huggingface_hub", minversion="1.32")

REVISION = "0123456789abcdef0123456789abcdef01234567"
PIN = hub.PinnedRevision("maker/sd", REVISION)
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "scheduler": ["diffusers", "PNDMScheduler"],
}
NO_TENSORS = struct.pack("<Q", 2) + b"{}"  # a safetensors file
NETWORKS = ("unet", "vae", "text_encoder")


def files() -> dict[str, bytes]:
    """Files of a checkpoint, and other files that repositories hold."""
    made = {"model_index.json": json.dumps(INDEX).encode(), "README.md": b"", "sd.ckpt": b"pickle"}
    for name in NETWORKS:
        made[f"{name}/config.json"] = b"{}"
        made[f"{name}/model.safetensors"] = NO_TENSORS
        made[f"{name}/model.fp16.safetensors"] = b"half"
        made[f"{name}/pytorch_model.bin"] = b"pickle"
        made[f"{name}/code.py"] = b"raise SystemExit"
    made["tokenizer/vocab.json"] = made["scheduler/scheduler_config.json"] = b"{}"
    return made


LOADED = {name for name in files() if name.endswith((".json", "/model.safetensors"))}


@dataclass
class Hub:
    """The endpoints of a hub that a pull of one commit needs."""

    files: dict[str, bytes] = field(default_factory=files)
    sent: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    status: int = 200
    code: str = ""  # of the error, in the real hub's header
    commit: str = REVISION
    card: dict[str, object] = field(default_factory=lambda: {"cardData": {"license": "openrail++"}})
    asked: list[str] = field(default_factory=list)  # revisions

    def info(self) -> bytes:
        siblings = [
            {"rfilename": name, "size": len(data), "blobId": "0", **_lfs(name, data)}
            for name, data in self.files.items()
        ]
        info = {"id": "maker/sd", "sha": self.commit, "siblings": siblings, **self.card}
        return json.dumps(info).encode()


def _lfs(name: str, data: bytes) -> dict[str, object]:
    if not name.endswith("safetensors"):
        return {}
    digest = hashlib.sha256(data).hexdigest()
    return {"lfs": {"sha256": digest, "size": len(data), "pointerSize": 1}}


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/api/"):
            self.hub.asked.append(path.rpartition("/revision/")[2])
            self._send(self.hub.info(), self.hub.status)
            return
        name = path.removeprefix(f"/maker/sd/resolve/{self.hub.commit}/")
        data = self.hub.files[name]
        if self.command == "GET":
            self.hub.sent.append(name)
            if name in self.hub.broken:
                data = bytes(len(data))
        self._send(data)

    def _send(self, data: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.hub.commit)
        if self.hub.code:
            self.send_header("X-Error-Code", self.hub.code)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    made = Hub()
    handler = type("_Handler", (Handler,), {"hub": made})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{http.server_port}")
    monkeypatch.setenv("DAGUERRE_HOME", str(tmp_path))
    yield made
    http.shutdown()
    http.server_close()


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_pull(server: Hub, tmp_path: Path) -> None:
    """Weights and configurations are downloaded; pickles, variants, code and cards are not."""
    shown: list[hub_download.Download] = []
    reported: list[int] = []

    def show(download: hub_download.Download) -> AbstractContextManager[Callable[[int], None]]:
        shown.append(download)
        return nullcontext(reported.append)

    folder = hub_download.pull(tmp_path, PIN, show)
    assert folder == tmp_path / "checkpoints" / "maker--sd" / REVISION == hub.folder(tmp_path, PIN)
    assert files_below(folder) == LOADED == set(server.sent) and len(server.sent) == len(LOADED)
    size = sum(len(data) for name, data in files().items() if name in LOADED - {"model_index.json"})
    assert shown == [hub_download.Download(PIN, "StableDiffusionPipeline", "openrail++", size)]
    assert reported == sorted(reported) and reported[-1] == size
    assert (folder / "unet" / "model.safetensors").read_bytes() == NO_TENSORS
    assert hub_download.pull(tmp_path, PIN) == folder and len(server.sent) == len(LOADED)


def test_only_a_variant(server: Hub, tmp_path: Path) -> None:
    """The weights of one variant are downloaded if a component has no others."""
    server.files["unet/model.fp16.safetensors"] = server.files.pop("unet/model.safetensors")
    server.files["unet/model.non_ema.safetensors"] = NO_TENSORS
    folder = hub_download.pull(tmp_path, PIN)
    names = {file.name for file in (folder / "unet").glob("*.safetensors")}
    assert names == {"model.fp16.safetensors"}


def test_damaged_file(server: Hub, tmp_path: Path) -> None:
    """Damaged weights leave no checkpoint, and the next pull downloads them again."""
    server.broken.add("unet/model.safetensors")
    with pytest.raises(SettingsError, match=r"unet/model\.safetensors differs from the hub's size"):
        hub_download.pull(tmp_path, PIN)
    assert not hub.folder(tmp_path, PIN).exists()
    server.broken.clear()
    server.sent.clear()
    assert files_below(hub_download.pull(tmp_path, PIN)) == LOADED
    assert "unet/model.safetensors" in server.sent and "text_encoder/config.json" not in server.sent


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, "RepoNotFound", "does not exist or is private; for a private one set HF_TOKEN"),
        (403, "GatedRepo", "is gated; accept its terms on the page of maker/sd and set HF_TOKEN"),
        (404, "RevisionNotFound", f"the repository has no revision {REVISION}"),
        (500, "", "Internal Server Error"),
    ],
)
def test_refusal_of_the_hub(
    server: Hub, tmp_path: Path, status: int, code: str, expected: str
) -> None:
    """The error is one line that says what to do."""
    server.status, server.code = status, code
    with pytest.raises(SettingsError) as caught:
        hub_download.pull(tmp_path, PIN)
    message = caught.value.message
    assert expected in message and "maker/sd at 01234567 cannot be pulled" in message
    assert "\n" not in message


def test_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error says that the hub cannot be reached, and no folder is left."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SettingsError, match="cannot be pulled"):
        hub_download.pull(tmp_path, PIN)
    assert not hub.folder(tmp_path, PIN).parent.exists()


def test_unsupported_pipeline_is_not_downloaded(server: Hub, tmp_path: Path) -> None:
    """The index is checked before weights are downloaded."""
    server.files["model_index.json"] = json.dumps({**INDEX, "_class_name": "OtherOne"}).encode()
    with pytest.raises(SettingsError, match="the pipeline is 'OtherOne'"):
        hub_download.pull(tmp_path, PIN)
    assert server.sent == ["model_index.json"]
    del server.files["model_index.json"]
    with pytest.raises(SettingsError, match=r"has no model_index\.json"):
        hub_download.pull(tmp_path / "other", PIN)


CATALOG = f"""
[models.sd]
source = "diffusers"
repo = "maker/sd"
revision = "{REVISION}"

[models.box]
source = "embedded"
"""


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Runs a command; returns its status and what it prints."""
    monkeypatch.setattr(catalog, "_EXTRA", ())  # nothing is loaded

    def run_command(*arguments: str) -> tuple[int, str]:
        status = main.main(arguments)
        captured = capsys.readouterr()
        return status, captured.err if status else captured.out

    return run_command


def test_models_of_the_catalog(
    server: Hub, tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    """The server names the command to run; after it, the checkpoint is available."""
    settings = Settings(home=tmp_path)
    (tmp_path / catalog.FILE_NAME).write_text(CATALOG)
    with pytest.raises(SettingsError, match="is not downloaded; run: daguerre pull sd"):
        factory.read_catalog(settings).check_loadable()
    (away, _) = (each.info for each in factory.summarize_catalog(settings))
    assert (away.id, away.weights_sha256) == ("sd", "") and "not downloaded" in away.description

    status, printed = run("pull")
    assert status == 0 and (tmp_path / catalog.FILE_NAME).read_text() == CATALOG
    assert "maker/sd at 01234567: StableDiffusionPipeline, 0.00 GB, license openrail++" in printed
    (here, _) = (each.info for each in factory.summarize_catalog(settings))
    assert (here.id, here.name) == ("sd", "maker/sd") and "not downloaded" not in here.description
    assert run("pull", "sd")[0] == 0

    assert "--id is 'x'; give it with one repository" in run("pull", "sd", "--id", "x")[1]
    status, printed = run("pull", "box")
    assert status == main.EXIT_USAGE
    assert "'box' is neither a repository" in printed and "such models: sd" in printed


def test_repository(server: Hub, tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    """The newest commit is pinned in a new table; later, the commit of that table is replaced."""
    file = tmp_path / catalog.FILE_NAME
    status, printed = run("pull", "maker/sd")
    assert status == 0 and server.asked == ["main", REVISION]
    assert f"Added sd to {file}" in printed and "Serve it: daguerre serve maker/sd\n" in printed
    read = catalog.read(None, tmp_path)
    assert [*read.models] == [catalog.DEFAULT_MODEL, "sd"]
    assert read.pinned_revisions == {"sd": PIN}
    before = file.read_text()
    assert run("pull", f"maker/sd@{REVISION}")[0] == 0
    assert (file.read_text(), server.asked) == (before, ["main", REVISION])

    file.write_text(before + "# the end\n")
    server.commit = "f" * 40
    status, printed = run("pull", "maker/sd@main")
    assert status == 0 and "revision 01234567 is now ffffffff" in printed
    assert "Serve it: daguerre serve maker/sd@ffffffff\n" in printed
    assert file.read_text() == before.replace(REVISION, server.commit) + "# the end\n"

    status, printed = run("pull", f"maker/sd@{REVISION}", "--id", "old")
    assert status == 0 and "Added old" in printed
    assert catalog.read(None, tmp_path).pinned_revisions["old"] == PIN


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pull", "a/b/c"], "'a/b/c' is neither a repository"),
        (["pull", "--id", "x"], "--id is 'x'; give it with one repository"),
        (["pull", "maker/sd", "maker/sd", "--id", "x"], "give it with one repository"),
    ],
)
def test_wrong_arguments(
    server: Hub, run: Callable[..., tuple[int, str]], arguments: list[str], words: str
) -> None:
    """The hub is not asked."""
    status, printed = run(*arguments)
    assert status == main.EXIT_USAGE and words in printed and server.asked == []


def test_branch_that_is_missing(
    server: Hub, tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    """Nothing is written; neither if the hub names no commit."""
    server.status, server.code = 404, "RevisionNotFound"
    assert "has no revision dev" in run("pull", "maker/sd@dev")[1]
    server.status, server.code, server.commit = 200, "", "dev"
    assert "the hub names no commit, but 'dev'" in run("pull", "maker/sd@dev")[1]
    assert not (tmp_path / catalog.FILE_NAME).exists() and not (tmp_path / "checkpoints").exists()


def test_file_outside_of_the_checkpoint(server: Hub, tmp_path: Path) -> None:
    """A component that leads out of the directory is refused, and nothing of it is downloaded."""
    index = {**INDEX, "../../../up": ["diffusers", "AutoencoderKL"]}
    server.files["model_index.json"] = json.dumps(index).encode()
    server.files["../../../up/model.safetensors"] = NO_TENSORS
    with pytest.raises(SettingsError, match=r"names '\.\./\.\./\.\./up', but the folder does not"):
        hub_download.pull(tmp_path, PIN)
    assert not any("up" in name for name in server.sent) and not (tmp_path / "up").exists()


def test_control_characters(
    server: Hub, tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    """Text of the hub does not control the terminal."""
    server.card = {"cardData": {"license": "mit\x1b[2J"}}
    assert "license mit[2J\n" in run("pull", "maker/sd")[1]


def test_license(server: Hub, tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    """Without a model card, a tag has it."""
    server.card = {"tags": ["diffusers", "license:mit"]}
    assert "license mit" in run("pull", "maker/sd")[1]


def test_full_disk(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The space is checked before weights are downloaded."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=300))
    server.files["unet/model.safetensors"] = bytes(400)
    with pytest.raises(SettingsError, match="0.0 GB of the disk of .* are free; free some"):
        hub_download.pull(tmp_path, PIN)
    assert server.sent == ["model_index.json"]


def test_repository_of_a_single_file(server: Hub, tmp_path: Path) -> None:
    """The error says which file can be served."""
    server.files = {"sd.safetensors": NO_TENSORS}
    with pytest.raises(SettingsError, match=r"pulled; download sd\.safetensors, and serve that"):
        hub_download.pull(tmp_path, PIN)


def test_nothing_to_pull(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    """Without a catalog the command does nothing and succeeds."""
    home = tmp_path / "none"
    status, printed = run("pull", "--home", str(home))
    assert status == 0 and "no model of the catalog has a repo" in printed and not home.exists()


def test_serving_needs_no_network(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pulled checkpoint is found without a request to the hub."""
    hub_download.pull(tmp_path, PIN)
    (tmp_path / catalog.FILE_NAME).write_text(CATALOG)
    refuse: Callable[..., None] = lambda *_: pytest.fail("sent a request to the hub")  # noqa: E731
    monkeypatch.setattr(Handler, "do_GET", refuse)
    settings = Settings(home=tmp_path)
    assert len(model_factory.build_models(settings, factory.read_catalog(settings))) == 2


def test_nothing_is_reported(tmp_path: Path) -> None:
    """huggingface_hub does not ask the hub which programs to report in its `User-Agent`."""
    program = """
from daguerre.models.diffusers import hub, hub_download
from huggingface_hub.utils import build_hf_headers
assert "torch" not in build_hf_headers()["user-agent"]
"""
    assert side_effects(program, tmp_path) == []
