"""JSON-RPC 2.0 on the socket, letter by letter."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.herosocket.serving import Served


def call(method: str, params: Any = None, id_: Any = 1) -> dict[str, Any]:
    """A request; without parameters when they are None."""
    return {"jsonrpc": "2.0", "id": id_, "method": method} | ({} if params is None else {"params": params})


@pytest.mark.parametrize(("params", "expected"), [({"a": 2, "b": 3}, 5), ([2, 3], 5), ([2], 3), ({"a": 2}, 3)], ids=str)
def test_parameters_by_name_or_position(served: Served, params: Any, expected: int) -> None:
    """Both work, with defaults."""
    assert served.call(call("add", params)) == {"jsonrpc": "2.0", "id": 1, "result": expected}


def test_a_parameter_named_as_a_keyword(served: Served) -> None:
    """`from` is a parameter like any other."""
    assert served.call(call("between", {"from": 1, "to": 2}))["result"] == [1, 2]


@pytest.mark.parametrize("id_", [0, -1, "", "abc", 2**60], ids=repr)
def test_the_id_comes_back(served: Served, id_: Any) -> None:
    """As it was sent."""
    assert served.call(call("add", [1], id_))["id"] == id_


@pytest.mark.parametrize(
    "value",
    [
        {"jsonrpc": "2.0", "method": "note", "params": [1]},
        {"jsonrpc": "2.0", "id": None, "method": "note", "params": [1]},
        [{"jsonrpc": "2.0", "method": "note", "params": [1]}],
        {"jsonrpc": "2.0", "method": "no_such_method"},
        {"jsonrpc": "2.0", "method": "add", "params": {"wrong": 1}},
    ],
    ids=["no-id", "null-id", "batch", "unknown", "wrong-parameters"],
)
def test_a_notification_has_no_answer(served: Served, value: Any) -> None:
    """204 without a body, also where a call would be an error."""
    response = served.post(json.dumps(value).encode())
    assert (response.status, response.body) == (204, b"")


def test_a_notification_is_carried_out(served: Served) -> None:
    """It is heard although it is not answered."""
    served.post(json.dumps({"jsonrpc": "2.0", "method": "note", "params": ["x"]}).encode())
    assert served.heard == ["x"]


def test_a_batch(served: Served) -> None:
    """Answers come in order, without those of notifications, with an error for each bad entry."""
    answers = served.call(
        [call("add", [1], 1), call("note", ["x"], None), 5, call("nothing", None, "s"), call("add", [5], 1)]
    )
    assert [(answer["id"], answer.get("result"), answer.get("error", {}).get("code")) for answer in answers] == [
        (1, 2, None),
        (None, None, -32600),
        ("s", None, -32601),
        (1, 6, None),
    ]


def test_a_batch_is_carried_out_in_order(served: Served) -> None:
    """Each call after the one before it."""
    served.call([call("note", [at], at) for at in range(20)])
    assert served.heard == list(range(20))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"{} x", -32700),
        (b"\xff\xfe\x00", -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"add","params":[NaN]}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"note","params":["\\ud800"]}', -32700),
        (b"[" * 100_000, -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"add","params":[' + b"9" * 5000 + b"]}", -32700),
        (b"[]", -32600),
        (b"5", -32600),
        (b"null", -32600),
        (b'"x"', -32600),
        (b"{}", -32600),
        (b'{"id":1,"method":"add"}', -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"add"}', -32600),
        (b'{"jsonrpc":2.0,"id":1,"method":"add"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"add","params":"x"}', -32600),
        (b'{"jsonrpc":"2.0","id":[],"method":"add"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"add"}', -32600),
        (b"[" + b"1," * 1000 + b"1]", -32600),
    ],
    ids=lambda value: value.decode("latin-1")[:30] if isinstance(value, bytes) else str(value),
)
def test_what_is_no_request(served: Served, body: bytes, code: int) -> None:
    """It is answered with 200 and the right error, which has the form of all errors."""
    response = served.post(body)
    answer = json.loads(response.body)
    assert (response.status, answer["error"]["code"], answer["jsonrpc"]) == (200, code, "2.0")
    assert {"code_name", "retryable", "hint"} == set(answer["error"]["data"])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "wrong parameters for add: missing a required argument: 'a'"),
        ({"a": 1, "c": 2}, "wrong parameters for add: got an unexpected keyword argument 'c'"),
        ([1, 2, 3], "wrong parameters for add: too many positional arguments"),
        (None, "wrong parameters for add: missing a required argument: 'a'"),
    ],
    ids=["missing", "unknown", "too-many", "none"],
)
def test_wrong_parameters(served: Served, params: Any, message: str) -> None:
    """-32602, and the message says which."""
    error = served.call(call("add", params))["error"]
    assert (error["code"], error["message"], error["data"]["code_name"]) == (-32602, message, "InvalidParams")


def test_null_parameters_are_none(served: Served) -> None:
    """`params: null` is as good as no parameters."""
    assert served.call({"jsonrpc": "2.0", "id": 1, "method": "rpc.discover", "params": None})["result"]["methods"] == []


def test_an_unknown_method(served: Served) -> None:
    """-32601 with its name."""
    error = served.call(call("system.fly"))["error"]
    assert (error["code"], error["message"]) == (-32601, "unknown method: system.fly")


def test_discover_is_the_document(served: Served) -> None:
    """`rpc.discover` returns what /openrpc.json serves."""
    document = served.request(b"GET /openrpc.json HTTP/1.1\r\nhost: x\r\n\r\n").body
    assert served.call(call("rpc.discover"))["result"] == json.loads(document)


def test_an_error_that_is_meant(served: Served) -> None:
    """A ServiceError arrives whole."""
    assert served.call(call("refuse"))["error"] == {
        "code": -32077,
        "message": "not today",
        "data": {"code_name": "Refused", "retryable": True, "hint": "come tomorrow", "day": 3},
    }


def test_an_error_that_is_not_meant(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """It is -32603 without its text, and the log has the traceback once, without the parameters as such."""
    with caplog.at_level(logging.DEBUG):
        answer = served.call(call("break_down", {"password": "hunter2"}))
    assert answer["error"]["code"] == -32603
    assert "hunter2" not in json.dumps(answer)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage() == "break_down failed unexpectedly"
    assert record.exc_info is not None
    assert not [record for record in caplog.records if record.name.startswith("pjrpc")]


def test_text_of_all_kinds(served: Served) -> None:
    """Text comes through as it is, escaped or not."""
    served.call(call("note", ["ä 🙂 \u0000 \ud83d\ude42".encode("utf-16", "surrogatepass").decode("utf-16")]))
    assert served.heard == ["ä 🙂 \x00 🙂"]
