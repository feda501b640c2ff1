"""`medley up`: prepares an installation, runs all its processes and stops them again."""
