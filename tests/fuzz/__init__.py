"""Damaged inputs in large numbers, run by hand; a few of them are tests."""
