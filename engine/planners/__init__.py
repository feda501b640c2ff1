"""Planners: an instance in, a plan with its proof out."""
