"""Scheduling: admission, fair queueing and service-time estimates."""
