"""timm, imported without torch's compiler, in half the time. Whoever needs timm gets it here.

timm and torchvision, which it imports, ask torch's compiler two things about a few functions when they are imported.
Until one of these functions is called, a stand-in answers in its place; when something is compiled, the compiler is
imported as always.
"""

import functools
import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

from learner.errors import TorchMismatched

COMPILER = "torch._dynamo"


def _is_compile_supported(device_type: str) -> Any:
    """Ask the compiler, now that somebody wants to know."""
    return importlib.import_module(f"{COMPILER}.utils").is_compile_supported(device_type)


def _disable(function: Callable[..., Any] | None = None, recursive: bool = True, **options: Any) -> Any:
    """Keep a function from being compiled, once something is."""
    if function is None:
        return functools.partial(_disable, recursive=recursive, **options)

    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        compiler = sys.modules.get(COMPILER)
        if compiler is None or isinstance(compiler, _StandIn):
            return function(*arguments, **named)
        return compiler.disable(function, recursive, **options)(*arguments, **named)

    return called


class _StandIn(ModuleType):
    """Gives way to the compiler when it is asked for anything else."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _give_way()
        return getattr(importlib.import_module(self.__name__), name)


def _stand_in() -> None:
    package, utils = _StandIn(COMPILER), _StandIn(f"{COMPILER}.utils")
    vars(package).update(__path__=[f"{path}/_dynamo" for path in torch.__path__], utils=utils, disable=_disable)
    vars(utils)["is_compile_supported"] = _is_compile_supported
    sys.modules |= {COMPILER: package, f"{COMPILER}.utils": utils}


def _give_way() -> None:
    for name in (COMPILER, f"{COMPILER}.utils"):
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]
    if isinstance(vars(torch).get("_dynamo"), _StandIn):
        del torch._dynamo


if COMPILER not in sys.modules:
    _stand_in()
try:
    import timm
    from timm.layers import BatchNormAct2d, convert_sync_batchnorm
except RuntimeError as exc:
    # torchvision's compiled part was not loaded, as it was made for another torch.
    if "torchvision::" not in str(exc):
        raise
    raise TorchMismatched(
        f"torchvision does not work with this torch {torch.__version__} ({exc}): they come from different builds, such "
        "as one for CPUs and one for CUDA. Install both from one index, for example: "
        "pip install --force-reinstall torch torchvision --index-url https://download.pytorch.org/whl/cpu"
    ) from exc
finally:
    _give_way()

__all__ = ["BatchNormAct2d", "convert_sync_batchnorm", "timm"]
