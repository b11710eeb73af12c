"""The file of a finished image, as it is answered and as it is kept for those that ask again."""

from __future__ import annotations

import time

from daguerre.encoding import encode
from daguerre.params import GeneratedImage
from daguerre.results import Result


def made(image: GeneratedImage, with_prompt: bool) -> Result:
    """To be run in a thread: compression of megabytes would hold up every other request."""
    return Result(encode(image, with_prompt=with_prompt), int(time.time()))
