"""The server with a catalog: checkpoints and the bundled model, over HTTP, at full size."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from conftest import PATH, wait_until
from PIL import Image

from daguerre.config import Settings
from daguerre.factory import build_engine, read_catalog
from daguerre.server.server import Server
from daguerre.storage.resources import ResourceStore

from .conftest import REASON

diffusers = pytest.importorskip("diffusers", reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

CATALOG = """
[models.stable-image-ultra]
source = "embedded"

[models.tiny]
source = "diffusers"
path = "tiny"
steps = 2
executor = "eager"

[models.tiny-guided]
source = "diffusers"
path = "tiny"
steps = 3
guidance = 12.0
executor = "eager"
"""
STEPS_AND_GUIDANCE = {"tiny": (2, 7.5), "tiny-guided": (3, 12.0)}
BODIES: tuple[dict[str, Any], ...] = (
    {"model": "tiny", "prompt": "a red fox", "seed": 1},
    {"model": "tiny", "prompt": "the old house in the night", "seed": 2, "size": "640x1536"},
    {"model": "tiny-guided", "prompt": "cat", "seed": 3, "negative_prompt": "blue"},
    {"model": "stable-image-ultra", "prompt": "a red fox", "seed": 4, "size": "1216x832"},
)


def megapixel(folder: Path) -> Path:
    """A checkpoint whose latent pixels are 8 x 8 pixels of the image, as in real ones."""
    from . import tiny

    down = ("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D")
    up = ("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D")
    return tiny.stable_diffusion(
        folder,
        vae=tiny.vae(num_levels=4, mid_block_add_attention=False),
        unet=tiny.unet(
            cross_attention_dim=32,
            block_out_channels=(8, 16, 32),
            down_block_types=down,
            up_block_types=up,
            norm_num_groups=8,
        ),
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    (folder / "daguerre.toml").write_text(CATALOG)
    megapixel(folder / "tiny")
    return folder


class Client:
    def __init__(self, server: Server, resources: ResourceStore, http: httpx.Client) -> None:
        self._http = http
        self._keys = {
            model: resources.create(model, f"KEY_{number}")[1]
            for number, model in enumerate({body["model"] for body in BODIES})
        }

    def post(self, body: dict[str, Any]) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._keys[body['model']]}"}
        return self._http.post(PATH, json=body, headers=headers)

    def pixels(self, body: dict[str, Any]) -> bytes:
        response = self.post(body)
        assert response.status_code == 200, response.text
        file = base64.b64decode(response.json()["data"][0]["b64_json"])
        image = Image.open(io.BytesIO(file))
        assert f"{image.width}x{image.height}" == body.get("size", "1024x1024")
        return np.asarray(image).tobytes()


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[Client]:
    # One thread, as in the other tests here: the order of summation depends on it.
    settings = Settings(home=home, port=0, embedded_steps=1, threads_per_worker=1)
    engine, is_up = build_engine(settings, read_catalog(settings)), threading.Event()
    resources = ResourceStore.open(settings.database_url, settings.data_dir())
    server = Server(settings, engine, resources, on_ready=lambda _: is_up.set())
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        assert is_up.wait(20)
        wait_until(lambda: engine.stats().is_ready or bool(engine.stats().failure), 60)
        assert engine.stats().failure == ""
        with httpx.Client(base_url=server.settings.public_base_url(), timeout=250) as http:
            yield Client(server, resources, http)
    finally:
        server.should_exit = True
        thread.join(60)
        resources.close()
    assert not thread.is_alive()


def stock(home: Path, body: dict[str, Any]) -> bytes:
    pipeline = diffusers.DiffusionPipeline.from_pretrained(home / "tiny")
    pipeline.set_progress_bar_config(disable=True)
    steps, guidance = STEPS_AND_GUIDANCE[body["model"]]
    width, height = map(int, body.get("size", "1024x1024").split("x"))
    image = pipeline(
        body["prompt"],
        negative_prompt=body.get("negative_prompt"),
        width=width,
        height=height,
        num_inference_steps=steps,
        guidance_scale=guidance,
        generator=torch.Generator().manual_seed(body["seed"]),
    ).images[0]
    return np.asarray(image).tobytes()


@pytest.mark.timeout(300)  # megapixels, each drawn twice
def test_mixed_traffic(home: Path, client: Client) -> None:
    """Concurrent requests for different models get the images that each gets alone."""
    with ThreadPoolExecutor(len(BODIES)) as pool:
        together = list(pool.map(client.pixels, BODIES))
    assert together[3] == client.pixels(BODIES[3])
    assert together[:3] == [stock(home, body) for body in BODIES[:3]]


def test_long_prompt(client: Client) -> None:
    """A prompt over the limit of CLIP is served."""
    response = client.post({"model": "tiny", "prompt": "cat " * 200})
    assert response.status_code == 200, response.text
