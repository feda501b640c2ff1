"""Routing: filters, scorers in [0, 1] and picker; pure, used by gateway and simulator alike."""
