"""The wire format: requests, their validation, and responses."""
