"""Scheduled IR -> files of a bundle."""
