"""Frozen values that all parts of Medley share."""
