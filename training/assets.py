"""Open vector art of the scenes: fetched once, pinned by digest.

Four Iconify packages are used, each as published on the npm registry:

* noto               Apache-2.0   Google Noto Emoji
* fluent-emoji-flat  MIT          Microsoft Fluent Emoji (flat)
* twemoji            CC BY 4.0    Twitter and contributors
* fxemoji            CC BY 4.0    Mozilla Foundation (Apache-2.0, as the package says, is its code)

`python -m training.assets` brings them into a cache folder that git ignores (npm does the
fetching); everything else reads that folder and works without a network. Nothing here knows what
the icons show.
"""

from __future__ import annotations

import argparse
import base64
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

    version: str
    sha512: str
    licence: str


PACKS: dict[str, Pack] = {
    "noto": Pack(
        "1.2.9",
        "DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
        "Apache-2.0",
    ),
    "fluent-emoji-flat": Pack(
        "1.2.6",
        "RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
        "MIT",
    ),
    "twemoji": Pack(
        "1.2.5",
        "uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw==",
        "CC-BY-4.0",
    ),
    "fxemoji": Pack(
        "1.2.2",
        "UAasRaxzFUKfIGSmLwnoarsssA4LX0VLLuEmplIqM6ZNQqIQRtav8tZ4H1neTlBreXuMQyAifr5jP4kn78DpiQ==",
        "CC-BY-4.0",
    ),
}


def _tarball(name: str, cache: Path) -> Path:
    return cache / f"iconify-json-{name}-{PACKS[name].version}.tgz"


def fetch(cache: Path = DEFAULT_CACHE) -> None:
    """Bring every package that is missing into the cache, and check every digest."""
    cache.mkdir(parents=True, exist_ok=True)
    for name, pack in PACKS.items():
        path = _tarball(name, cache)
        if not path.exists():
            spec = f"@iconify-json/{name}@{pack.version}"
            subprocess.run(["npm", "pack", spec, "--silent"], cwd=cache, check=True)
        digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
        if digest != pack.sha512:
            path.unlink()
            raise RuntimeError(f"{path.name}: sha512 {digest} is not the pinned {pack.sha512}")


def present(cache: Path = DEFAULT_CACHE) -> bool:
    """True when all packages lie in the cache."""
    return all(_tarball(name, cache).exists() for name in PACKS)


@lru_cache(maxsize=8)
def icons(name: str, cache: Path = DEFAULT_CACHE) -> dict[str, Any]:
    """The package's icons.json, unpacked in memory."""
    with tarfile.open(_tarball(name, cache)) as tar:
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="fetch the open vector art of the scenes")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    fetch(parser.parse_args().cache)
