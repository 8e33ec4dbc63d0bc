"""``python -m services.gateway``: run the gateway as its own process, or one of its commands."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from services.gateway.app import create_app
from services.gateway.dead_letters import command as dead_letters
from services.gateway.security import command as keys
from services.gateway.settings import gateway_settings
from shared.process import serve_alone

COMMANDS: Final[Mapping[str, Callable[[Sequence[str]], int]]] = {
    "keys": keys.main,
    "dead-letters": dead_letters.main,
}
USAGE: Final = (
    "python -m services.gateway [keys | dead-letters …]: without a command, serves until stopped."
)


def main(arguments: Sequence[str]) -> int:
    if not arguments:
        return serve_alone(
            "gateway",
            lambda settings: create_app(
                gateway_settings(settings, ready_urls=(f"{settings.auth_url}/health/ready",))
            ),
        )
    command = COMMANDS.get(arguments[0])
    if command is None:
        sys.stderr.write(f"{USAGE}\n")
        return 0 if arguments[0] in {"-h", "--help"} else 2
    return command(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
