"""The command line as a user types it, and a client to the real server of these tests."""

import json

import pytest
from typer.testing import CliRunner

from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.local_server import read_account, studio_status
from cli.main import app
from tests.json_outputs import check_document, check_error


@pytest.fixture
def partly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*words, expect=0):
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == expect, result.output + result.stderr
        if "--json" in words:
            document = json.loads(result.stdout)
            if "error" in document:
                check_error(document)
            else:
                check_document(words, document)
            if result.exit_code == 0:
                return document
        return result

    return run


@pytest.fixture
def client(studio):
    with LabelStudioClient(studio_status(studio).url, read_account(studio).token) as made:
        yield made
