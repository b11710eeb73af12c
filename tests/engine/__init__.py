"""Tests of the engine: no weights, numpy networks, and one tiny network on the real runtime."""
