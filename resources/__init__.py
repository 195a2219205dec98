"""Files that the program carries: themes."""
