"""The rental planner: what to rent under a budget, in which shape, and who serves what."""
