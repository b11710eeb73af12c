"""Worker processes: the dispatcher, the pool and the messages between server and workers."""
