"""Networks whose builders fetch weights: building them where those are not needed, and saying why fetching failed."""

from __future__ import annotations

import copy
import http.client
import socket
import ssl
import sys
import urllib.error
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from dynvision.errors import MissingError
from dynvision.system.escaping import show_text
from dynvision.system.failures import causes_of, last_line, text_of

__all__ = ["explain_fetching", "make_without_fetching", "without_downloads"]

_LOADERS = ("load_state_dict_from_url", "load_url")
"""The names of torch.hub's function, the second in `torch.utils.model_zoo`."""

_CLIENTS = frozenset({"requests", "urllib3", "httpx", "huggingface_hub", "aiohttp"})

_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    socket.gaierror,
    ssl.SSLError,
)


class _Absent(dict):  # type: ignore[type-arg]
    """Stands for weights that are not fetched: whatever is asked of it is absent, too."""

    def __missing__(self, key: object) -> _Absent:
        return _Absent()

    def get(self, key: object, default: Any = None) -> Any:
        return _Absent() if default is None else default

    def pop(self, key: object, *default: Any) -> Any:
        return _Absent()


@contextmanager
def without_downloads() -> Iterator[None]:
    """Let builders of networks fetch nothing while the block runs; they keep the weights they began with.

    In the block torch.hub's `load_state_dict_from_url`, which torchvision's builders call too, gives an empty mapping
    at once, and to load that into a network does nothing. Everything else that builders do for their weights (the
    number of classes, `transform_input`, auxiliary outputs) stays as it is. So this is for networks whose weights are
    all loaded afterwards.
    """
    original, load = torch.hub.load_state_dict_from_url, nn.Module.load_state_dict

    def fetch_nothing(*arguments: Any, **named: Any) -> _Absent:
        return _Absent()

    def load_if_there(self: nn.Module, state_dict: Mapping[str, Any], *arguments: Any, **named: Any) -> Any:
        if not state_dict or any(isinstance(value, _Absent) for value in state_dict.values()):
            return load(nn.Identity(), {})  # what it returns where nothing is missing
        return load(self, state_dict, *arguments, **named)

    with ExitStack() as stack:
        for module in list(sys.modules.values()):
            for name in _LOADERS:
                if getattr(module, "__dict__", {}).get(name) is original:
                    _replace(stack, module, name, fetch_nothing)
        _replace(stack, nn.Module, "load_state_dict", load_if_there)
        yield


def _replace(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    stack.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)


def make_without_fetching(make: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Make a network whose weights are all loaded afterwards.

    Args:
        make: Its class, or a function that makes it. If its code cannot do without weights, it fetches them after all.
        arguments: Its arguments.
    """
    try:
        with without_downloads():
            return make(**copy.deepcopy(dict(arguments)))
    except Exception:  # noqa: BLE001  # made once more, it says what is wrong
        return make(**arguments)


def explain_fetching(class_path: str, error: BaseException) -> MissingError | None:
    """Return the error for users if a class could not fetch weights; `None` if something else went wrong.

    Args:
        class_path: The class of the network.
        error: What it raised.
    """
    for cause in causes_of(error):
        is_client = type(cause).__module__.partition(".")[0] in _CLIENTS
        if isinstance(cause, _ERRORS) or is_client or "invalid hash value" in text_of(cause):
            reason = show_text(last_line(text_of(cause)) or type(cause).__name__, 300)
            return MissingError(
                f"config_models.yaml: {class_path} could not fetch its weights ({reason}). Connect this machine to the "
                "network, or download them elsewhere and name their file as 'checkpoint'; then nothing is fetched."
            )
    return None
