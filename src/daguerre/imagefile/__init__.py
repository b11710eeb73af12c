"""Image files: PNG and JPEG encoding, and the metadata inside them."""
