"""``python -m deploy.health URL``: exit with 0 if the URL answers 200, else with 1 and the reason.

For images without curl.
"""

from __future__ import annotations

import argparse
import http.client
import sys
from typing import Final
from urllib.parse import urlsplit

TIMEOUT_S: Final = 4
SHOWN: Final = 500
"""Bytes of the answer that are shown if it is not 200."""


def health(url: str, timeout: float = TIMEOUT_S) -> str | None:
    """Return the problem, None if there is none.

    ``timeout`` is in seconds, for each step of the exchange.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return f"{url} is no http:// address. Write one like http://127.0.0.1:8000/health/ready"
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.request("GET", parts.path or "/", headers={"Connection": "close"})
        answer = connection.getresponse()
        if answer.status == http.HTTPStatus.OK:
            return None
        return f"{url} answered {answer.status}: {answer.read(SHOWN).decode('utf-8', 'replace')}"
    except (OSError, http.client.HTTPException) as error:
        return f"{url} does not answer: {str(error) or error.__class__.__name__}"
    finally:
        connection.close()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m deploy.health", description=__doc__)
    parser.add_argument("url", help="for example http://127.0.0.1:8000/health/ready")
    wrong = health(parser.parse_args(arguments).url)
    if wrong is not None:
        print(wrong, file=sys.stderr)
    return 0 if wrong is None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
