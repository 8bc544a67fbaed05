"""The fuzzer's corpus, with all that it ever found, as tests: no coverage guides them, and they need no fuzzer."""

from pathlib import Path

import pytest

from fuzz.targets import TARGETS

CORPUS = Path(__file__).parents[3] / "fuzz" / "corpus"


def test_each_target_has_a_corpus_and_each_corpus_a_target():
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_known_to_be_hostile_does_no_harm(name):
    for file in sorted((CORPUS / name).iterdir()):
        print(file.name)  # noqa: T201 - shown when the test fails
        TARGETS[name](file.read_bytes())
