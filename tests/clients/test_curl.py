"""The managed service's documented shell commands, with only `heroku config` replaced.

They are repeated here instead of read from the guide, so that edits of the guide cannot change
them.
"""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest

from clients.conftest import TIMEOUT_S, Service, assert_picture, run

# `heroku config -a $APP_NAME` is replaced by `daguerre config`; the rest is unchanged.
VARIABLES = r"""
eval $(daguerre config --shell | grep '^DIFFUSION_' | sed 's/^/export /' | tee >(cat >&2))
"""
REQUEST = r"""
curl $DIFFUSION_URL/v1/images/generations \
 -H "Authorization: Bearer $DIFFUSION_KEY" \
 -d @- <<EOF
{
  "model": "$DIFFUSION_MODEL_ID",
  "prompt": "A surreal landscape with glowing mushrooms under a night sky."
}
EOF
"""
REQUEST_TO_FILE = r"""
curl $DIFFUSION_URL/v1/images/generations \
 -H "Authorization: Bearer $DIFFUSION_KEY" \
 -d @- <<EOF | jq -r '.data[0].b64_json' | base64 --decode > "x.png"
{
  "model": "$DIFFUSION_MODEL_ID",
  "prompt": "A surreal landscape with glowing mushrooms under a night sky."
}
EOF
"""


def needs(*commands: str) -> pytest.MarkDecorator:
    missing = [command for command in commands if shutil.which(command) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def in_bash(script: str, service: Service, folder: Path) -> str:
    """Run in a shell that has only the variables of `daguerre config`."""
    names = ("DIFFUSION_URL", "DIFFUSION_KEY", "DIFFUSION_MODEL_ID")
    return run(["bash", "-c", f"unset {' '.join(names)}\n{script}"], service, folder)


@pytest.mark.timeout(TIMEOUT_S)
@needs("bash", "curl")
def test_request(service: Service, tmp_path: Path) -> None:
    """The documented request returns the documented response, with an image of the default size."""
    answer = json.loads(in_bash(VARIABLES + REQUEST, service, tmp_path))
    assert list(answer) == ["created", "data"] and len(answer["data"]) == 1
    assert list(answer["data"][0]) == ["b64_json", "revised_prompt"]
    assert answer["data"][0]["revised_prompt"] == "" and type(answer["created"]) is int
    assert_picture(base64.b64decode(answer["data"][0]["b64_json"], validate=True))


@pytest.mark.timeout(TIMEOUT_S)
@needs("bash", "curl", "jq", "base64")
def test_request_to_file(service: Service, tmp_path: Path) -> None:
    """The documented pipe through jq and base64 writes the image."""
    in_bash(VARIABLES + REQUEST_TO_FILE, service, tmp_path)
    assert_picture((tmp_path / "x.png").read_bytes())
