"""Access control: API keys, rate limits and concurrency limits."""
