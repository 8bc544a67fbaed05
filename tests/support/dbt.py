"""dbt, out of an environment of its own (`make test` installs it); started once, it runs one command after another."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulators.postgres import PASSWORD

_LOGIN = {"DBT_ENV_SECRET_PASSWORD": PASSWORD}
HOME = Path(__file__).parents[2] / ".venv-dbt"


@dataclass(frozen=True, slots=True)
class Dbt:
    """A running dbt."""

    process: "subprocess.Popen[str]"
    log: Path

    def __call__(
        self, project: Path, *arguments: str, good: bool = True, environ: Mapping[str, str] = {}
    ) -> dict[str, dict[str, Any]]:
        """Run one command on a project; return what came of each node, by its name."""
        asked = {"arguments": [*arguments, "--no-use-colors"], "folder": str(project), "environ": {**_LOGIN, **environ}}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or "{}")
        assert answer.get("good") is good, answer.get("error") or self.log.read_text()[-4000:]
        return answer["results"]


@contextmanager
def dbt(folder: Path) -> Iterator[Dbt]:
    """Start dbt; its log is in `folder`."""
    assert (HOME / ".installed").exists(), "there is no dbt to test with: `make test` installs it"
    log = folder / "dbt.log"
    with (
        log.open("wb") as told,
        subprocess.Popen(
            [HOME / "bin" / "python", "-P", Path(__file__).with_name("dbt_session.py")],  # else this file is `dbt`
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
        ) as process,
    ):
        yield Dbt(process, log)
