"""The running terminal without its widgets."""
