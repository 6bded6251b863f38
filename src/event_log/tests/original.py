# The original's event log, as in package/src/team_agent/events.py 0.2.3, with the paths and the
# budget as arguments.
# stdin: one JSON array [event, fields] a line; argv: directory, rotate bytes, keep.
from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

EVENT_LOG_ROTATE_BYTES = int(sys.argv[2])
EVENT_LOG_ARCHIVE_KEEP = int(sys.argv[3])


class EventLog:
    def __init__(self, logs_dir: Path):
        self.path = logs_dir / "events.jsonl"

    def write(self, event_type: str, **fields: Any) -> dict[str, Any]:
        event = {
            "ts": datetime.now(timezone.utc).isoformat(),
            "event": event_type,
            **fields,
        }
        self._maybe_rotate()
        with self.path.open("a", encoding="utf-8") as f:
            f.write(json.dumps(event, ensure_ascii=False, sort_keys=True) + "\n")
        return event

    def tail(self, limit: int = 20) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines()[-limit:]
        out = []
        for line in lines:
            try:
                out.append(json.loads(line))
            except json.JSONDecodeError:
                out.append({"raw": line})
        return out

    def _maybe_rotate(self) -> None:
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return
        if size < EVENT_LOG_ROTATE_BYTES:
            return
        oldest = self._archive_path(EVENT_LOG_ARCHIVE_KEEP)
        if oldest.exists():
            try:
                oldest.unlink()
            except OSError:
                pass
        for idx in range(EVENT_LOG_ARCHIVE_KEEP - 1, 0, -1):
            src = self._archive_path(idx)
            dst = self._archive_path(idx + 1)
            if src.exists():
                try:
                    os.replace(src, dst)
                except OSError:
                    pass
        try:
            os.replace(self.path, self._archive_path(1))
        except OSError:
            pass

    def _archive_path(self, index: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{index}")


log = EventLog(Path(sys.argv[1]))
for line in sys.stdin.buffer:
    event, fields = json.loads(line)
    log.write(event, **fields)
# What the original's reader makes of it, for comparison.
sys.stdout.buffer.write(json.dumps(log.tail(20)).encode())
