"""One corpus and one trained model for all tests here."""

import pytest
import recipe
import tiny


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    return tiny.write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def trained(corpus, tmp_path_factory):
    """Output folder of a run of train.py, and what it printed.

    The best checkpoint is the one with the *highest* loss, so that it is not the last.
    """
    output = tmp_path_factory.mktemp("trained") / "output"
    result = recipe.run(*recipe.command("train.py", corpus, output, best_metric="loss"))
    assert result.returncode == 0, result.stderr
    return output, result.stdout
