"""What the server stores: the database, files and caches."""
