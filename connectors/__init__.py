"""The venues, translated into one language. Knows no Qt and neither of the floors above."""
