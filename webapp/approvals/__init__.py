"""Policies and decisions."""
