"""transformers, diffusers and torchao, without downloads and without their lines on stderr."""

from __future__ import annotations

import importlib
import logging
import os

# They warn about optional parts of torchao, whenever diffusers imports it.
_NOISY_LOGGERS = ("torchao", "torch.utils._pytree")


def prepare() -> None:
    """Call it before the first import of one of the libraries; later calls change nothing."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # a checkpoint may name files of the hub
    os.environ["DIFFUSERS_GGUF_CUDA_KERNELS"] = "false"  # kernels from the hub
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    for library in ("transformers", "diffusers"):  # diffusers imports transformers
        # Its errors are exceptions, too, and its warnings quote prompts. Progress bars would
        # overwrite the server's log.
        library_logging = importlib.import_module(library).utils.logging
        library_logging.set_verbosity(logging.CRITICAL)
        library_logging.disable_progress_bar()
