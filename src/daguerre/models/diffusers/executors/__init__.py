"""Executors: what runs the networks of a checkpoint."""
