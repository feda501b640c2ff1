"""Clouds: one adapter per provider to rent, describe and release machines."""
