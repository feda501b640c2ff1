"""Restricted plans to compare with."""
