"""Previews of an unfinished image."""
