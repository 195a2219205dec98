"""How each venue's signing vectors are compared: one module a venue, with `check(entry)`, called by test_vectors."""
