"""What docs/ and .dlt/ say of settings and columns, made from their declarations; `make docs` writes it."""

import json
import re
from dataclasses import fields
from pathlib import Path

from hauser_dlt import fields as fullstory
from hauser_dlt.config.init_files import config_text, secrets_text
from hauser_dlt.config.names import KINDS
from hauser_dlt.dbt.column_docs import EVENTS

ROOT = Path(__file__).parents[2]


KINDS_BY_NAME = {kind.__name__: kind for kind in KINDS}


def settings_table(kind) -> str:
    rows = [
        f"| `{declared.name}` | `{json.dumps(declared.metadata['default'])}` | {declared.metadata['help']} |"
        for declared in fields(kind)
    ]
    return "\n".join(["| setting | default | meaning |", "| --- | --- | --- |", *rows])


_TYPES = {"int": "integer", "int32": "integer"}
_OPTIONAL = {fullstory.SESSION_REPLAY_URL: "text", fullstory.SELECTOR_TOKENS: "text", **fullstory.MOBILE}
_BOOKKEEPING = {fullstory.CUSTOM_VARS: "text", fullstory.LOAD_ID: "text", fullstory.ROW_WINDOW: "timestamp"}


def columns_table() -> str:
    rows = [
        f"| `{name}`{' †' * (name in _OPTIONAL)} | {_TYPES.get(kind, kind)} | {EVENTS[name]} |"
        for name, kind in {**fullstory.KNOWN, **_OPTIONAL, **_BOOKKEEPING}.items()
    ]
    return "\n".join(["| column | type | meaning |", "| --- | --- | --- |", *rows])


def with_columns(text: str) -> str:
    """Return a page with its table of columns as it should be."""
    begin, end = "<!-- columns -->", "<!-- end of columns -->"
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n\n{columns_table()}\n\n{end}{rest.partition(end)[2]}"


def with_tables(text: str) -> str:
    """Return a page with its settings tables as they should be."""

    def table(mark: re.Match[str]) -> str:
        return f"{mark[1]}\n\n{settings_table(KINDS_BY_NAME[mark[2]])}\n\n{mark[3]}"

    return re.sub(r"(<!-- settings: (\w+) -->)\n.*?(<!-- end of settings -->)", table, text, flags=re.DOTALL)


def documents() -> dict[Path, str]:
    settings_page, data_model = ROOT / "docs" / "settings.md", ROOT / "docs" / "data-model.md"
    return {
        settings_page: with_tables(settings_page.read_text()),
        data_model: with_columns(data_model.read_text()),
        ROOT / ".dlt" / "config.toml": config_text({}),
        ROOT / ".dlt" / "example.secrets.toml": secrets_text({}),
    }


if __name__ == "__main__":
    for document, text in documents().items():
        document.write_text(text)
