"""Widgets: draw what the app floor holds, turn clicks into calls on it."""
