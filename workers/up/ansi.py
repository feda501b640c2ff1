"""The few control sequences of terminals that are used."""

from typing import Final

BOLD: Final = "\x1b[1m"
DIM: Final = "\x1b[2m"
GREEN: Final = "\x1b[32m"
YELLOW: Final = "\x1b[33m"
RESET: Final = "\x1b[0m"
ERASE_LINE: Final = "\r\x1b[2K"
