"""Tabs that anybody may have written do not keep a project from being set up."""

import httpx

from annotator.label_studio.client import LabelStudioClient
from annotator.label_studio.page import TABS, set_up_page

TOKEN = "0123456789abcdef0123456789abcdef01234567"


def test_tabs_of_any_form_are_left_alone(monkeypatch):
    made = []

    def answer(request):
        if request.method == "POST":
            made.append(request)
            return httpx.Response(201, json={})
        if request.url.path == "/api/dm/views/":
            views = [{"data": [1]}, {"data": None}, {"data": {"title": ["x"]}}, {"data": {"title": "done"}}, {}]
            return httpx.Response(200, json=views)
        return httpx.Response(200, json={"expert_instruction": "our own"})

    real = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **options: real(transport=httpx.MockTransport(answer)))
    set_up_page(LabelStudioClient("http://studio.test", TOKEN), 1)
    assert len(made) == len(TABS) - 1
