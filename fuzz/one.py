"""`python -m fuzz.one TARGET [libFuzzer's arguments]`: one target, in this process, by atheris."""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # the slow and exact accounts
with atheris.instrument_imports(include=["hauser_dlt"]):
    from fuzz.targets import TARGETS

if __name__ == "__main__":
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
