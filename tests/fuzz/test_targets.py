"""Nothing that strangers send breaks a promise: a few hundred random inputs of each kind, and every one that once did.

``make fuzz`` tries many more. An input that fails goes into the corpus, and is tried here from then on.
"""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import CORPUS, TARGETS, Target

KEPT = [(target, path) for target in TARGETS for path in target.corpus()]
SMALL = 32 * 1024


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """What is in the corpus with a few edits, and words of the target's own with rubbish between them."""
    word = st.sampled_from(target.words) | st.binary(max_size=4)
    edits = st.lists(st.tuples(st.integers(0, SMALL), st.integers(0, 8), word), max_size=4)
    kept = st.sampled_from([path.read_bytes() for path in target.corpus()])
    return st.builds(edited, kept, edits) | st.lists(word, max_size=40).map(b"".join)


def edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Each edit puts a word at a place, in place of so many bytes."""
    for place, count, word in edits:
        at = place % (len(data) + 1)
        data = data[:at] + word + data[at + count :]
    return data


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_random_inputs_keep_what_is_promised(target: Target) -> None:
    @settings(max_examples=300, deadline=None)
    @given(inputs(target))
    def holds(data: bytes) -> None:
        target.check(data)

    holds()


@pytest.mark.parametrize(("target", "path"), KEPT, ids=lambda part: part.name)
def test_inputs_that_once_failed_hold_now(target: Target, path: Path) -> None:
    target.check(path.read_bytes())


def test_the_corpus_is_small_and_everything_in_it_is_tried() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(path for _, path in KEPT)
    assert sum(path.stat().st_size for path in files) < SMALL
