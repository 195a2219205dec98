"""What panels share: figures, controls, tables."""
