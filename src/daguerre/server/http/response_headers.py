"""Headers of image responses: documented in the OpenAPI document, and exposed to scripts."""

RESPONSE_HEADERS = {
    "x-request-id": "The request's own x-request-id if it has 1 to 128 letters, digits, '.', '_' or"
    " '-'; else a new one. On every response.",
    "traceresponse": "IDs of the trace and the span, as in traceparent, if tracing is on.",
    "x-seed": "The seed of the image.",
    "x-batching-mode": "'throughput' if the same seed may produce different bytes.",
    "server-timing": "Milliseconds in queue, encode, denoise, decode and file.",
    "x-cache": "'hit' if the image comes from the image store, 'miss' if the image store did not"
    " have it.",
    "idempotent-replayed": "'true' if an earlier request had the same Idempotency-Key.",
    "x-ratelimit-limit-requests": "Requests per minute, if the key has a limit.",
    "x-ratelimit-remaining-requests": "Remaining requests, if the key has a limit.",
    "x-ratelimit-reset-requests": "Time until the oldest request expires, such as '51s', if the key"
    " has a limit.",
}
