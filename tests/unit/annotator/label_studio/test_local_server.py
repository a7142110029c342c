"""The local server's token stays on this machine."""

from annotator.label_studio.local_server import Account, _knows
from tests.web_hosts import redirect


def test_whoever_has_taken_the_port_cannot_send_the_token_on(hosts):
    squatter, elsewhere = hosts
    squatter.answers["/api/current-user/whoami"] = redirect(f"{elsewhere.url}/steal")
    assert not _knows(squatter.url, Account("a@b", "word", "0123456789abcdef"))
    assert elsewhere.asked == []
