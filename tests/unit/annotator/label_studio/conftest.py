"""Two web servers, of which one may mean harm."""

import pytest

from tests.web_hosts import Host


@pytest.fixture
def hosts():
    made = [Host(), Host()]
    yield made
    for host in made:
        host.close()
