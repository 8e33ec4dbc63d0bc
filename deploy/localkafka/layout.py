"""Record the layout of a broker's folder in a file that is written when the folder is new."""

from pathlib import Path
from typing import Final

import msgspec

from deploy.localkafka.files import replace_durably
from deploy.localkafka.topics import DESCRIPTION, new_topic_id
from shared.layout import LAYOUT, UNVERSIONED, LayoutRefused, require_layout

_FILE: Final = "layout"


def stored_layout(data_dir: Path) -> int | None:
    """Return the layout of the folder, None if no broker has used it. Nothing is written.

    Raises:
        LayoutRefused: the file is not a broker's.
    """
    file = data_dir / _FILE
    if file.exists():
        text = file.read_text(errors="replace").strip()
        if text.isdecimal():
            return int(text)
        raise LayoutRefused(
            f"{file} holds no number. Restore the folder of the broker from a backup."
        )
    used = (data_dir / "cluster_id").exists() or (data_dir / "topics").exists()
    return UNVERSIONED if used else None


def check_layout(data_dir: Path) -> bool:
    """Return True if a broker has used the folder, False if it is new. Nothing is written.

    Raises:
        LayoutRefused: it has another layout.
    """
    found = stored_layout(data_dir)
    if found is not None:
        require_layout(found, f"The folder {data_dir} of the local broker")
    return found is not None


def claim_layout(data_dir: Path) -> None:
    """Mark a new folder with the current layout, before anything else is in it.

    Raises ``LayoutRefused`` if it has another layout.
    """
    if not check_layout(data_dir):
        replace_durably(data_dir / _FILE, b"%d\n" % LAYOUT)


def upgrade_layout(data_dir: Path) -> None:
    """Give an unopened folder the current layout; topics and offsets stay.

    Idempotent. A folder of a newer layout is refused.
    """
    if (stored_layout(data_dir) or 0) >= LAYOUT:
        claim_layout(data_dir)
        return
    for description in (data_dir / "topics").glob(f"*/{DESCRIPTION}"):
        topic = msgspec.json.decode(description.read_bytes())
        if "id" not in topic:
            replace_durably(description, msgspec.json.encode({**topic, "id": new_topic_id()}))
    replace_durably(data_dir / _FILE, b"%d\n" % LAYOUT)
