"""HTTP/1.1: connections, middleware, bodies, errors and logs."""
