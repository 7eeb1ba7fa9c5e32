"""The rules of JSON-RPC 2.0 on a Hero socket, around pjrpc's dispatcher.

Owns: what is a request and what is a batch, which error a fault becomes, and that no error and no log line repeats
parameters, which may be secrets. Must not know HTTP. Methods are a pjrpc MethodRegistry; what they raise on purpose is
a ServiceError.
"""

from __future__ import annotations

import asyncio
import functools
import json
import keyword
import logging
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from pjrpc.server import AsyncDispatcher, JsonRpcError
from pjrpc.server.exceptions import InvalidParamsError, MethodNotFoundError, ServerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pjrpc.common import Request
    from pjrpc.server import MethodRegistry

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
LARGEST_BATCH = 1000
_KEYWORDS = frozenset(keyword.kwlist)

_log = logging.getLogger(__name__)
# pjrpc logs the parameters of calls that fail, at several levels. Parameters can be secrets; we log without them.
logging.getLogger("pjrpc").setLevel(logging.CRITICAL + 1)

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Encoded(str):
    """A result that is JSON text already: it goes out as it is. For answers that are made once and given often."""

    __slots__ = ()


class ServiceError(JsonRpcError):
    """What a method answers instead of a result.

    Args:
        code: -320xx of the service's own, or one of the codes of JSON-RPC.
        code_name: the code as a word, such as NotFound.
        message: one sentence, lower case, without a secret.
        retryable: whether the same call may succeed later without any change.
        hint: what the caller can do, or "".
        more: further keys of the error's `data`.
    """

    def __init__(
        self, code: int, code_name: str, message: str, *, retryable: bool = False, hint: str = "", **more: Any
    ) -> None:
        data = {"code_name": code_name, "retryable": retryable, "hint": hint} | more
        super().__init__(code, message, data)


def invalid_params(message: str, *, hint: str = "") -> ServiceError:
    """The error for parameters of the right names whose values are wrong."""
    return ServiceError(INVALID_PARAMS, "InvalidParams", message, hint=hint)


def threaded(method: Callable[_P, _T]) -> Callable[_P, Awaitable[_T]]:
    """A method that blocks, as one that does not: it runs in a thread of asyncio's pool."""

    @functools.wraps(method)
    async def in_thread(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await asyncio.to_thread(method, *args, **kwargs)

    return in_thread


class RpcEndpoint:
    """Answers the body of a `POST /rpc`."""

    def __init__(self, methods: MethodRegistry) -> None:
        # Text is decoded and encoded here, once for a whole batch; the dispatcher sees one decoded call at a time.
        self._dispatcher: AsyncDispatcher[None] = AsyncDispatcher(
            json_loader=lambda call, **_: call, json_dumper=lambda answer, **_: answer, middlewares=[_translate]
        )
        self._dispatcher.add_methods(methods)

    @property
    def method_names(self) -> list[str]:
        """Names of all methods, sorted."""
        return sorted(self._dispatcher.registry.keys())

    async def answer(self, body: bytes) -> bytes | None:
        """The response to a body, None when there is none to give (notifications)."""
        try:
            decoded = _decode(body)
        except (ValueError, RecursionError) as error:
            cause = "nested too deeply" if isinstance(error, RecursionError) else _where(error)
            return _encode(_failure(PARSE_ERROR, "ParseError", f"the body is not JSON: {cause}"))
        if not isinstance(decoded, list):
            answer = await self._answer_call(decoded)
            return None if answer is None else _encode(answer)
        if not decoded:
            return _encode(_failure(INVALID_REQUEST, "InvalidRequest", "the batch is empty"))
        if len(decoded) > LARGEST_BATCH:
            text = f"the batch has {len(decoded)} calls, {LARGEST_BATCH} are allowed"
            return _encode(_failure(INVALID_REQUEST, "InvalidRequest", text))
        # One after the other: a batch such as set, start means that order.
        answers = [answer for call in decoded if (answer := await self._answer_call(call)) is not None]
        return _encode(answers) if answers else None

    async def _answer_call(self, call: Any) -> Any:
        fault = _fault_of(call)
        if fault:
            id_ = call.get("id") if isinstance(call, dict) else None
            return _failure(INVALID_REQUEST, "InvalidRequest", fault, id_ if _is_id(id_) else None)
        params = call.get("params")
        if params is None:
            call = call | {"params": {}}
        elif isinstance(params, dict) and not _KEYWORDS.isdisjoint(params):
            # A method cannot have a parameter called `from`; it has `from_`.
            call = call | {"params": {f"{key}_" if key in _KEYWORDS else key: params[key] for key in params}}
        # The dispatcher is made for text; with the loader and dumper above it takes and gives the decoded call.
        answered = await self._dispatcher.dispatch(call, None)
        return None if answered is None else answered[0]


async def _translate(request: Request, context: None, handler: Callable[..., Awaitable[Any]]) -> Any:
    """Give pjrpc's own errors our form, and keep what went wrong inside out of the answer."""
    try:
        return await handler(request, context)
    except MethodNotFoundError:
        raise ServiceError(METHOD_NOT_FOUND, "MethodNotFound", f"unknown method: {request.method[:200]}") from None
    except InvalidParamsError as error:
        raise invalid_params(f"wrong parameters for {request.method}: {error.data}") from None
    except ServerError as error:
        # pjrpc raises it, and only it, around an exception that the method did not mean to raise.
        _log.exception("%s failed unexpectedly", request.method, exc_info=error.__cause__ or error)
        raise ServiceError(
            INTERNAL_ERROR, "Internal", f"{request.method} failed unexpectedly", hint="the log of the service says more"
        ) from None


def _decode(body: bytes) -> Any:
    decoded = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    if b"\\ud" in body or b"\\uD" in body:
        # Half of a surrogate pair is no character: nothing that writes text would take it later.
        json.dumps(decoded, ensure_ascii=False).encode("utf-8")
    return decoded


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _where(error: Exception) -> str:
    """What was wrong with the text, without repeating the text."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    if isinstance(error, UnicodeError):
        return "not UTF-8"
    return str(error)


def _encode(answer: Any) -> bytes:
    return _text(answer).encode("utf-8", "replace")


def _text(answer: Any) -> str:
    if isinstance(answer, list):
        return f"[{','.join(map(_text, answer))}]"
    result = answer.get("result")
    if isinstance(result, Encoded):
        return f'{_dump({key: answer[key] for key in answer if key != "result"})[:-1]},"result":{result}}}'
    return _dump(answer)


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _fault_of(call: Any) -> str:
    """Why a value is no JSON-RPC 2.0 request, "" when it is one."""
    if not isinstance(call, dict):
        return "a request is an object"
    if call.get("jsonrpc") != "2.0":
        return 'jsonrpc must be "2.0"'
    if not isinstance(call.get("method"), str):
        return "method must be a string"
    if not isinstance(call.get("params", {}), (dict, list, type(None))):
        return "params must be an object or an array"
    if not _is_id(call.get("id")):
        return "id must be a string, a number or null"
    return ""


def _is_id(value: Any) -> bool:
    return value is None or (isinstance(value, (str, int)) and not isinstance(value, bool))


def _failure(code: int, code_name: str, message: str, id_: Any = None) -> dict[str, Any]:
    data = {"code_name": code_name, "retryable": False, "hint": ""}
    return {"jsonrpc": "2.0", "id": id_, "error": {"code": code, "message": message, "data": data}}
