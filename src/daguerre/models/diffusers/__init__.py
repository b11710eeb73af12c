"""Checkpoints in diffusers format; needs the extra `daguerre[diffusers]`."""

import os

# Else huggingface_hub tells the hub which programs run here. It reads the variable when imported.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
