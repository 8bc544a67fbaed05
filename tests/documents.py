"""What docs/settings.md and .dlt/ say of the settings, made from their declarations; `make docs` writes it."""

import json
import re
from dataclasses import fields
from pathlib import Path

from hauser_dlt import settings
from hauser_dlt.settings_files import config_text, secrets_text

ROOT = Path(__file__).parent.parent


def settings_table(kind) -> str:
    rows = [
        f"| `{declared.name}` | `{json.dumps(declared.metadata['default'])}` | {declared.metadata['help']} |"
        for declared in fields(kind)
    ]
    return "\n".join(["| setting | default | meaning |", "| --- | --- | --- |", *rows])


def with_tables(text: str) -> str:
    """Return a page with its settings tables as they should be."""

    def table(mark: re.Match[str]) -> str:
        return f"{mark[1]}\n\n{settings_table(getattr(settings, mark[2]))}\n\n{mark[3]}"

    return re.sub(r"(<!-- settings: (\w+) -->)\n.*?(<!-- end of settings -->)", table, text, flags=re.DOTALL)


def documents() -> dict[Path, str]:
    path = ROOT / "docs" / "settings.md"
    return {
        path: with_tables(path.read_text()),
        ROOT / ".dlt" / "config.toml": config_text({}),
        ROOT / ".dlt" / "example.secrets.toml": secrets_text({}),
    }


if __name__ == "__main__":
    for document, text in documents().items():
        document.write_text(text)
