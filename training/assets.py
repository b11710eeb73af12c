"""Open vector art of the scenes: fetched once, pinned by digest.

Four Iconify packages are used, each as published on the npm registry:

* noto               Apache-2.0   Google Noto Emoji
* fluent-emoji-flat  MIT          Microsoft Fluent Emoji (flat)
* twemoji            CC BY 4.0    Twitter and contributors
* fxemoji            CC BY 4.0    Mozilla Foundation (Apache-2.0, as the package says, is its code)

`python -m training.assets` brings them into a cache folder that git ignores (npm does the
fetching); everything else reads that folder and works without a network. Nothing here knows what
the icons show. `training.font` fetches its package in the same way.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

DEFAULT_CACHE = Path(os.environ.get("DAGUERRE_ART_CACHE") or Path(__file__).parent / ".cache")


@dataclass(frozen=True)
class Pack:
    """One pinned npm package: its version and the registry's sha512 of the tarball."""

    name: str
    version: str
    sha512: str
    licence: str

    def tarball(self, cache: Path) -> Path:
        """Where `npm pack` leaves it."""
        stem = self.name.removeprefix("@").replace("/", "-")
        return cache / f"{stem}-{self.version}.tgz"

    def fetch(self, cache: Path) -> Path:
        """Brings the tarball into the cache if it is missing, and checks its digest."""
        path = self.tarball(cache)
        if not path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            spec = f"{self.name}@{self.version}"
            subprocess.run(["npm", "pack", spec, "--silent"], cwd=cache, check=True)
        digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
        if digest != self.sha512:
            path.unlink()
            raise RuntimeError(f"{path.name}: sha512 {digest} is not the pinned {self.sha512}")
        return path


PACKS: dict[str, Pack] = {
    "noto": Pack(
        "@iconify-json/noto",
        "1.2.9",
        "DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
        "Apache-2.0",
    ),
    "fluent-emoji-flat": Pack(
        "@iconify-json/fluent-emoji-flat",
        "1.2.6",
        "RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
        "MIT",
    ),
    "twemoji": Pack(
        "@iconify-json/twemoji",
        "1.2.5",
        "uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw==",
        "CC-BY-4.0",
    ),
    "fxemoji": Pack(
        "@iconify-json/fxemoji",
        "1.2.2",
        "UAasRaxzFUKfIGSmLwnoarsssA4LX0VLLuEmplIqM6ZNQqIQRtav8tZ4H1neTlBreXuMQyAifr5jP4kn78DpiQ==",
        "CC-BY-4.0",
    ),
}


def fetch(cache: Path = DEFAULT_CACHE) -> None:
    """Brings every package that is missing into the cache, and checks every digest."""
    for pack in PACKS.values():
        pack.fetch(cache)


def present(cache: Path = DEFAULT_CACHE) -> bool:
    """True when all packages lie in the cache."""
    return all(pack.tarball(cache).exists() for pack in PACKS.values())


@lru_cache(maxsize=8)
def icons(name: str, cache: Path = DEFAULT_CACHE) -> dict[str, Any]:
    """The package's icons.json, unpacked in memory."""
    with tarfile.open(PACKS[name].tarball(cache)) as tar:
        member = tar.extractfile("package/icons.json")
        assert member is not None
        return cast(dict[str, Any], json.load(member))


def body(name: str, icon: str, cache: Path = DEFAULT_CACHE) -> tuple[str, float, float] | None:
    """The icon's SVG content with its view width and height, or None when it is not there."""
    data = icons(name, cache)
    icon = data.get("aliases", {}).get(icon, {}).get("parent", icon)
    entry = data["icons"].get(icon)
    if entry is None:
        return None
    side = (entry.get("width", data.get("width", 16)), entry.get("height", data.get("height", 16)))
    left, top = entry.get("left", 0), entry.get("top", 0)
    text = entry["body"]
    if left or top:
        text = f'<g transform="translate({-left} {-top})">{text}</g>'
    return text, float(side[0]), float(side[1])


def update(file: Path, packed: bytes) -> None:
    """Writes compressed data, unless the file has the same content.

    Another zlib may compress the same content to other bytes; the file then stays as it is.
    """
    is_new = not file.exists() or gzip.decompress(file.read_bytes()) != gzip.decompress(packed)
    if is_new:
        file.write_bytes(packed)
    print(f"{file}: {file.stat().st_size} bytes, {'written' if is_new else 'unchanged'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="fetch the open vector art of the scenes")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    fetch(parser.parse_args().cache)
