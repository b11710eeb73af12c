"""The commands, one module each. They import slow modules when they run, so `--help` is fast."""
