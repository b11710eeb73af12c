"""Batching: which forwards share a batch, and the proof that sharing changes no bit."""
