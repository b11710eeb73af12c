"""The engine: pipelines request forwards, the scheduler batches them, and the loop runs them."""
