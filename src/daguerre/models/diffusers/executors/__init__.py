"""Executors: how a network of a checkpoint is run."""
