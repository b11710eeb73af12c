"""Idempotency keys, request coalescing and the result cache."""
