"""The command line as a user types it."""

import json

import pytest
from typer.testing import CliRunner

from cli.main import app


@pytest.fixture
def partly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*words, expect=0):
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == expect, result.output + result.stderr
        if "--json" in words and result.exit_code == 0:
            return json.loads(result.stdout)
        return result

    return run
