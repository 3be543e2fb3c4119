"""counted.json: the digest of all that the fingerprints of a run count by its content, so that a change can be named.

Each stage has the words for it (``the source of model 'x'``, ``the content of /data/photos``) with the digest, and each
data folder that was read whole the digest of every file.
"""

from __future__ import annotations

from msgspec import Struct, field

from kd.rundir.bounded_json import read_bounded_json
from kd.rundir.folders import RunFolder

CONTENT_OF = "the content of "  # begins the words for what lies at a path


class Counted(Struct, frozen=True, kw_only=True):
    """The whole of counted.json."""

    stages: dict[str, dict[str, str]] = field(default_factory=dict)
    folders: dict[str, dict[str, str]] = field(default_factory=dict)

    def content_of(self, stage: str, path: str) -> str | None:
        """Return the digest of what lies at a path, as a stage was planned with it."""
        return self.stages.get(stage, {}).get(f"{CONTENT_OF}{path}")


def read_counted(run: RunFolder) -> Counted:
    """Return what a run counted; nothing where there is no such file, or a damaged one: it only serves to explain."""
    try:
        return read_bounded_json(run.counted, Counted)
    except (OSError, ValueError):
        return Counted()
