"""Files that we write and users change: written again, those that were changed are left alone.

What was written stands in a list beside them, with a digest of each file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hauser_dlt.errors import ConfigError
from hauser_dlt.machine import unusable

_LIST = ".hauser-dlt.json"


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What became of the files.

    Attributes:
        written: new, or other than before.
        removed: not needed any more.
        kept: other than we would have them, because users changed, added or removed them.
    """

    written: list[Path] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)


def refresh(folder: Path, files: Mapping[str, str], *, force: bool) -> Refreshed:
    """Write files below a folder, unless users have changed them.

    Args:
        files: path below the folder -> text.
        force: what users have changed is overwritten, too.

    Raises:
        ConfigError: there is something else in the folder, or it cannot be written to.
    """
    ours = folder / _LIST
    try:
        if not ours.exists() and folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty, and nothing of ours; choose another folder")
        before: dict[str, str] = json.loads(ours.read_text(encoding="utf-8")) if ours.exists() else {}
        done = Refreshed()
        for name in sorted({*files, *before}):
            _refresh(folder / name, files.get(name), before.get(name), done, force=force)
        after = {name: _digest(text) for name, text in files.items() if folder / name not in done.kept}
        after |= {name: digest for name, digest in before.items() if name in files and name not in after}
        ours.write_text(json.dumps(after, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as exc:
        raise unusable(exc.filename or folder, exc, "choose another folder") from None
    except ValueError as exc:
        raise ConfigError(f"{folder} cannot be written to: {exc}") from None
    return done


def _refresh(path: Path, text: str | None, before: str | None, done: Refreshed, *, force: bool) -> None:
    """Bring one file up to date; `text` is None where it is not needed any more, `before` where it is new."""
    present = path.read_text(encoding="utf-8") if path.exists() else None
    if present == text:
        return
    if (None if present is None else _digest(present)) != before and not force:
        done.kept.append(path)
    elif text is None:
        path.unlink()
        done.removed.append(path)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        done.written.append(path)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
