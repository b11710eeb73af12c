"""Batching: batches of forwards, and the verification that a batch changes no bit."""
