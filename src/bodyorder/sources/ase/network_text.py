"""What tells one network of torch from another, in every process: pickles of networks hold addresses, compiled ones have none."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any

#: What a network holds that is told otherwise, or says nothing on its numbers.
_OWN = {"_modules", "_parameters", "_buffers", "_non_persistent_buffers_set", "training"}


def is_network(value: Any) -> bool:
    """Whether something is a network of torch, compiled or not."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def is_tensor(value: Any) -> bool:
    """Whether something is a tensor with numbers of its own."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor) and value.layout == torch.strided


def tensor_text(value: Any) -> str:
    """Type, shape and hash of the numbers of a tensor."""
    import torch

    flat = value.detach().cpu().contiguous().reshape(-1)
    content = flat.view(torch.uint8).numpy().tobytes()
    return f"{value.dtype} {tuple(value.shape)} {hashlib.blake2b(content, digest_size=16).hexdigest()}"


def network_text(network: Any) -> str:
    """Classes, plain attributes and numbers of a network and its parts; of compiled parts their operations and constants."""
    import torch

    lines = [f"{name} {text}" for name, text in sorted(_numbers(network))]
    for name, part in network.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            lines.append(f"{name} {' '.join(_operations(part))}")
        else:
            plain = {key: _plain(value) for key, value in vars(part).items() if key not in _OWN and "hooks" not in key}
            lines.append(f"{name} {type(part).__module__}.{type(part).__qualname__} {sorted(plain.items())}")
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


def _numbers(network: Any) -> Iterator[tuple[str, str]]:
    for name, value in [*network.named_parameters(), *network.named_buffers()]:
        yield name, tensor_text(value) if is_tensor(value) else type(value).__name__


def _plain(value: Any) -> str:
    """A setting of a network, as far as it reads the same in every process."""
    if value is None or isinstance(value, bool | int | float | complex | str):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_plain, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(sorted(f'{key}:{_plain(item)}' for key, item in value.items()))}}}"
    if is_tensor(value):
        return tensor_text(value)
    return str(value) if type(value).__module__ == "torch" else type(value).__qualname__  # its dtypes and devices


def _operations(compiled: Any) -> Iterator[str]:
    if hasattr(compiled, "inlined_graph"):  # a part without a method has none
        yield from _of_nodes(compiled.inlined_graph.nodes())


def _of_nodes(nodes: Iterable[Any]) -> Iterator[str]:
    for node in nodes:
        yield node.kind()
        if node.kind() == "prim::Constant":
            yield _plain(node.output().toIValue())
        for block in node.blocks():
            yield from _of_nodes(block.nodes())
