"""Checkpoints that are one file, in the layout of the model's authors, not of diffusers."""
