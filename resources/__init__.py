"""Data files that ship with Fathom."""
