"""Dead letters for operators: list them, look into one, put one back."""

from services.gateway.letters.command import main
from services.gateway.letters.desk import Desk
from services.gateway.letters.listing import list_letters, packed, unpacked
from services.gateway.letters.replay import Replayed, replay_letter
from services.gateway.letters.show import show_letter
from services.gateway.letters.view import LetterSummary, LetterView

__all__ = [
    "Desk",
    "LetterSummary",
    "LetterView",
    "Replayed",
    "list_letters",
    "main",
    "packed",
    "replay_letter",
    "show_letter",
    "unpacked",
]
