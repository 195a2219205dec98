"""The local exchange that every venue's practice side stands in front of."""
