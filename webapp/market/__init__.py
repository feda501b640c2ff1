"""Providers, offers, price and availability observations."""
