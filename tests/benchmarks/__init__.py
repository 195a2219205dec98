"""Measurements, run by `./dev bench`; not collected by the tests."""
