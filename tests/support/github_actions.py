"""GitHub Actions, so far as our workflows use it: jobs and steps run as they stand in the file, on this machine."""

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

SHELLS = {"bash": ("bash", "--noprofile", "--norc", "-eo", "pipefail"), "python": ("python",), None: ("bash", "-e")}
PROVIDED = {"actions/setup-python", "actions/checkout"}  # what these do, the environment of the test has done
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


@dataclass
class Step:
    """A step that has run."""

    job: str
    name: str
    code: int
    output: str


@dataclass
class Runner:
    """A machine of GitHub's for each job: in an empty folder, and gone with it when the job has ended.

    Attributes:
        machine: makes a machine in a folder, its home included, and returns the environment of its processes.
        secrets: by name.
        settings: stronger than the workflow's `env`: where the servers of the test are.
        steps: those that have run.
        outputs: of jobs.
        summaries: what the jobs have written for people.
    """

    machine: Callable[[Path], Mapping[str, str]]
    secrets: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    summaries: list[str] = field(default_factory=list)

    def run(self, file: Path, only: str = "", **inputs: str) -> dict[str, bool]:
        """Run a workflow, or one job of it; return job -> whether it succeeded, of a matrix whether all did."""
        workflow = yaml.safe_load(file.read_text())
        results: dict[str, bool] = {}
        for name, job in workflow["jobs"].items():
            contexts = {"inputs": inputs, "secrets": self.secrets, "needs": self.outputs}
            if only not in ("", name) or not results.get(job.get("needs"), True):
                results[name] = False
                continue
            strategy = _evaluated(job.get("strategy", {}), contexts)
            with ThreadPoolExecutor(strategy.get("max-parallel", 1)) as side_by_side:
                inside = [{**contexts, "matrix": one, "steps": {}} for one in _combinations(strategy.get("matrix", {}))]
                started = [side_by_side.submit(self._job, name, job, workflow.get("env", {}), each) for each in inside]
            results[name] = all(job.result() for job in started)
            self.outputs[name] = {"outputs": _evaluated(job.get("outputs", {}), inside[-1])}
        return results

    def _job(self, name: str, job: Mapping[str, Any], env: Mapping[str, str], contexts: dict[str, Any]) -> bool:
        good = True
        with tempfile.TemporaryDirectory(prefix="runner-") as folder:
            machine = Path(folder)
            (machine / "work").mkdir()
            environ = {**self.machine(machine), **env, **job.get("env", {})}
            for step in job["steps"]:
                if "uses" in step:
                    assert step["uses"].partition("@")[0] in PROVIDED, step
                    continue
                condition = step.get("if", "${{ success() }}")
                assert condition in ("${{ success() }}", "${{ !cancelled() }}"), condition
                if good or "cancelled" in condition:
                    given = _evaluated({**environ, **step.get("env", {})}, contexts)
                    good &= self._step(name, step, given, machine, contexts) == 0
        return good

    def _step(
        self, job: str, step: Mapping[str, Any], environ: Mapping[str, str], machine: Path, contexts: dict[str, Any]
    ) -> int:
        script, output, summary = (machine / name for name in ("script", "output", "summary"))
        assert not _EXPRESSION.search(step["run"]), "what others typed must come by the environment, not by the script"
        script.write_text(step["run"])
        for file in (output, summary):
            file.touch()
        reported = {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)}
        done = subprocess.run(
            [*SHELLS[step.get("shell")], script],
            cwd=machine / "work",
            env={**environ, **reported, **self.settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.steps.append(Step(job, step.get("name", ""), done.returncode, done.stdout))
        if "id" in step:
            pairs = (line.partition("=") for line in output.read_text().splitlines())
            contexts["steps"][step["id"]] = {"outputs": {name: value for name, _, value in pairs}}
        if text := summary.read_text():
            self.summaries.append(text)
        output.unlink()
        summary.unlink()
        return done.returncode


def steps_of(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield all steps of a workflow, with the names of their jobs."""
    for name, job in yaml.safe_load(file.read_text())["jobs"].items():
        for step in job["steps"]:
            yield name, step


def _combinations(matrix: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    assert len(matrix) <= 1, "no workflow of ours has more"
    return [{axis: value} for axis, values in matrix.items() for value in values] or [{}]


def _evaluated(value: Any, contexts: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {name: _evaluated(inner, contexts) for name, inner in value.items()}
    if whole := _EXPRESSION.fullmatch(str(value)):
        return _expression(whole[1], contexts)
    return (
        _EXPRESSION.sub(lambda found: str(_expression(found[1], contexts)), value) if isinstance(value, str) else value
    )


def _expression(text: str, contexts: Mapping[str, Any]) -> Any:
    if called := re.fullmatch(r"fromJSON\((.*)\)", text):
        return json.loads(_expression(called[1], contexts))
    found: Any = contexts
    for name in text.split("."):
        found = found.get(name, "") if found else ""
    return found
