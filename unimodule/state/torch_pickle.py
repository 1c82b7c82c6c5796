"""The pickle inside a PyTorch file, read as data.

A pickle is a program: unpickling one runs whatever functions it names. The unpickler here resolves a handful of names
to stand-ins of our own, which only note down what they were called with, and refuses every other name before anything
is called. The stand-ins are immutable, so that a file cannot leave its mark on them either.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any, NamedTuple

from ..errors import StateDictError


class Storage(NamedTuple):
    """A block of memory in the file: ``elements`` of ``dtype`` under ``key``."""

    key: str
    dtype: str
    elements: int


class StoredTensor(NamedTuple):
    """A tensor in the file; offset and strides count elements of ``dtype``. Nothing about it is checked yet."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str


class Mapping(dict[Any, Any]):
    """An OrderedDict of the file, without the attributes that PyTorch hangs on it (``_metadata``)."""

    def __setstate__(self, state: Any) -> None:
        """Drop them."""


class _StorageKind(NamedTuple):
    dtype: str


class _Tensor:
    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> StoredTensor:
        if not isinstance(storage, Storage):
            raise StateDictError(f"a tensor is built on a {type(storage).__name__} instead of a storage")
        return StoredTensor(storage, offset, tuple(shape), tuple(strides), storage.dtype)


class _TypedTensor(_Tensor):
    """For dtypes that have no storage class of their own: the dtype stands beside an untyped storage."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> StoredTensor:
        tensor = super().__call__(storage, offset, shape, strides)
        dtype = rest[2] if len(rest) > 2 else None  # after requires_grad and backward_hooks
        if dtype not in DTYPES:
            raise StateDictError(f"a tensor has the dtype {dtype!r}, which cannot be read")
        return tensor._replace(dtype=dtype)


class _Parameter:
    __slots__ = ()

    def __call__(self, data: Any, *_: Any) -> Any:
        return data


DTYPES = frozenset(
    "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128".split()
)
_STORAGES = {
    "Bool": "bool",
    "Byte": "uint8",
    "Char": "int8",
    "Short": "int16",
    "Int": "int32",
    "Long": "int64",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Float": "float32",
    "Double": "float64",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
    "Untyped": "uint8",
}
_NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): Mapping,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _Tensor(),
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor(),
    ("torch._utils", "_rebuild_tensor_v3"): _TypedTensor(),
    ("torch._utils", "_rebuild_parameter"): _Parameter(),
    ("torch._utils", "_rebuild_parameter_with_state"): _Parameter(),
    ("torch.storage", "UntypedStorage"): _StorageKind("uint8"),
    **{("torch", f"{kind}Storage"): _StorageKind(dtype) for kind, dtype in _STORAGES.items()},
    **{("torch", dtype): dtype for dtype in DTYPES},
}
"""What a state_dict is made of. Add nothing that does more than hold what it is given."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _NAMES[module, name]
        except KeyError:
            raise StateDictError(
                f"it asks for {module}.{name}, which no state_dict needs; nothing was executed. If you trust the file, "
                "open it with the framework that wrote it and save the state_dict alone"
            ) from None

    def persistent_load(self, pid: Any) -> Storage:
        try:
            tag, kind, key, _, count, *_ = pid
        except (TypeError, ValueError):
            tag = kind = key = count = None
        view = pid[5] if isinstance(pid, tuple) and len(pid) > 5 else None
        if (
            tag != "storage"
            or not isinstance(kind, _StorageKind)
            or type(count) is not int
            or view is not None
        ):
            raise StateDictError(f"it refers to something that is not a storage: {pid!r}"[:200])
        storage = Storage(str(key), kind.dtype, count)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise StateDictError(f"it describes storage {key} in two ways")
        return storage


def load(file: io.BytesIO) -> tuple[Any, dict[str, Storage]]:
    """The object of the pickle that starts at the file's position, which ends up behind it, and the storages it refers to.

    Raises:
        StateDictError: the pickle names anything but tensors and containers, or is damaged.
    """
    start = file.tell()
    try:
        _check_opcodes(file, limit=len(file.getbuffer()))
        file.seek(start)
        unpickler = _Unpickler(file)
        return unpickler.load(), unpickler.storages
    except StateDictError:
        raise
    except Exception as error:  # whatever a pickle machine fed with garbage comes up with
        raise StateDictError(f"its pickle is damaged ({type(error).__name__}: {error})") from error


def _check_opcodes(file: io.BytesIO, limit: int) -> None:
    """Refuse what ``find_class`` does not get to see: the registry of extensions, and a memo that would fill memory."""
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name.startswith("EXT") or (opcode.name.endswith("PUT") and int(argument) > limit):  # type: ignore[arg-type]
            raise StateDictError(
                f"its pickle uses {opcode.name} {argument}, which no state_dict needs; nothing was executed"
            )
