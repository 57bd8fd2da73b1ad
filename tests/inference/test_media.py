"""Engines fetch nothing from other hosts unless the project allows the host."""

import json
from typing import Any

import pytest

from inference.endpoints.call import read_call
from inference.errors import BadRequest, RemoteMedia
from inference.media import check_media

URL = "https://pictures.example.com/cat.png"


def image(url: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}


REFERENCES = {
    "chat": image(URL),
    "chat, bare": {"messages": [{"content": [{"type": "image_url", "image_url": URL}]}]},
    "audio": {"messages": [{"content": [{"type": "audio_url", "audio_url": {"url": URL}}]}]},
    "video": {"messages": [{"content": [{"type": "video_url", "video_url": {"url": URL}}]}]},
    "responses": {"input": [{"content": [{"type": "input_image", "image_url": URL}]}]},
    "file": {"input": [{"content": [{"type": "input_file", "file_url": URL}]}]},
    "message": {"messages": [{"content": [{"type": "image", "source": {"type": "url", "url": URL}}]}]},
    "tool result": {"messages": [{"content": [{"type": "tool_result", "content": [{"source": {"url": URL}}]}]}]},
    "rerank": {"documents": {"content": [{"type": "image_url", "image_url": {"url": URL}}]}},
    "file scheme": image("file:///etc/passwd"),
    "space before": image(" " + URL),
    "upper case": image(URL.upper()),
}


def check(body: dict[str, Any] | bytes, *hosts: str) -> None:
    raw = body if isinstance(body, bytes) else json.dumps({"model": "m", **body}).encode()
    check_media(read_call(raw), hosts)


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_to_another_host_is_refused(name: str) -> None:
    with pytest.raises(RemoteMedia):
        check(REFERENCES[name])


def test_refusal_names_the_host() -> None:
    with pytest.raises(RemoteMedia, match=r"the host pictures\.example\.com"):
        check(image(URL))


@pytest.mark.parametrize(("old", "new"), [("image_url", "image\\u005furl"), ("url", "\\u0075rl"), ("url", "ur\\u006C")])
def test_escapes_hide_nothing(old: str, new: str) -> None:
    with pytest.raises(RemoteMedia):
        check(json.dumps({"model": "m", **image(URL)}).replace(old, new).encode())


@pytest.mark.parametrize("host", ["pictures.example.com", "*.example.com"])
def test_allowed_host_passes(host: str) -> None:
    check(image(URL), host)
    check(image("http://PICTURES.example.com:8080/?a=%20"), host)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "https://evil.com/pictures.example.com",
        "https://pictures.example.com@evil.com/",
        "https://pictures.example.com\\@evil.com/",
        "https://evil.com#pictures.example.com",
        "https://pictures.example.com.evil.com/",
        "https://evilpictures.example.com.",
        "ftp://pictures.example.com/",
        "https:/pictures.example.com/",
        "//pictures.example.com/",
        "https://pictures.example.com/\n",
    ],
)
def test_look_alikes_of_an_allowed_host_are_refused(url: str) -> None:
    with pytest.raises(RemoteMedia):
        check(image(url), "pictures.example.com", "*.pictures.example.com")


@pytest.mark.parametrize(
    "body",
    [
        image("data:image/png;base64,aGk="),
        image("DATA:image/png;base64,aGk="),
        {"messages": [{"content": f"what is at {URL}? it says image_url"}]},
        {"messages": [{"content": [{"type": "image", "source": {"type": "base64", "data": "aGk="}}]}]},
        {"messages": [{"content": [{"type": "tool_use", "input": {"image_url": URL, "source": {"url": URL}}}]}]},
        {"tools": [{"function": {"parameters": {"properties": {"image_url": {"url": URL}}}}}]},
        {"metadata": {"image_url": URL}},
        {"input": f"https image_url {URL}"},
        {"documents": [{"title": "a", "url": URL}]},
    ],
)
def test_all_else_passes(body: dict[str, Any]) -> None:
    check(body)


def test_number_out_of_range_is_a_bad_request() -> None:
    with pytest.raises(BadRequest):
        check(b'{"model":"m","messages":[{"image_url":1e99999}]}')


def test_deep_content_is_no_trouble() -> None:
    deep: Any = []
    for _ in range(400):
        deep = [{"a_url": deep}]
    check({"messages": deep})
