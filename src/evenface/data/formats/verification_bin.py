"""Verification sets as insightface publishes them: ``lfw.bin``, ``African_test.bin``, …

The file is a pickle of ``(images, issame)``: 2N encoded images (JPEG or PNG files as bytes, or as
one-dimensional uint8 arrays) and N truth values; pair i is images 2i and 2i + 1. Pickles can run
any program, so they are read here by an interpreter that knows the operations of plain data only
and calls nothing but the few functions below; a file that asks for more is refused.
"""

from __future__ import annotations

import math
import os
import pickle
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from evenface.errors import DataError
from evenface.files import atomic_path

SUFFIX = ".bin"


@dataclass(frozen=True, eq=False)
class VerificationBin:
    """Pairs of images: pair i is images 2i and 2i + 1."""

    images: list[bytes]
    """2N encoded images; whether they can be decoded has not been tried."""
    genuine: NDArray[np.bool_]
    """(N,) whether both images of the pair show one person."""

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.genuine)


def read_bin(path: str | Path) -> VerificationBin:
    """Read a verification set written by Python 2 or 3, without trusting it.

    Raises:
        DataError: no such file, no pickle, truncated, a pickle of anything but images and truth
            values (nothing of it is run), or numbers of images and pairs that do not agree; the
            message names the record.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with open(path, "rb") as handle:
        content = _load(path, handle)
    if not isinstance(content, tuple | list) or len(content) != 2:
        raise DataError(f"{path}: no verification set: expected a pair (images, issame)")
    images, issame = content
    if not isinstance(images, tuple | list):
        raise DataError(f"{path}: no verification set: expected a list of images first")
    copies: dict[int, bytes] = {}
    encoded = [_image(path, number, item, copies) for number, item in enumerate(images)]
    genuine = _genuine(path, issame)
    if not len(genuine) or len(encoded) != 2 * len(genuine):
        raise DataError(
            f"{path}: {len(encoded):,} images for {len(genuine):,} pairs; expected two a pair"
        )
    return VerificationBin(encoded, genuine)


def write_bin(
    path: str | Path, images: Iterable[bytes], genuine: Sequence[bool] | NDArray[np.bool_]
) -> None:
    """Write a verification set atomically, so that any Python 3 and insightface read it.

    Images are written as they come, in constant memory: as bytes, in pickle protocol 3.

    Args:
        path: file to write.
        images: 2N encoded images (JPEG or PNG files), two for each pair.
        genuine: (N,) whether a pair shows one person.

    Raises:
        ValueError: no pairs, or not two images a pair.
    """
    flags = np.asarray(genuine, dtype=bool)
    if flags.ndim != 1 or not len(flags):
        raise ValueError(f"expected truth values (N,) of at least one pair, got {flags.shape}")
    with atomic_path(Path(path)) as temporary, open(temporary, "wb") as out:
        out.write(pickle.PROTO + b"\x03" + pickle.EMPTY_LIST)
        count = 0
        for image in images:
            count += 1
            out.write(pickle.BINBYTES + len(image).to_bytes(4, "little"))
            out.write(image)
            out.write(pickle.APPEND)
        if count != 2 * len(flags):
            raise ValueError(f"{count} images for {len(flags)} pairs")
        out.write(pickle.EMPTY_LIST)
        for flag in flags.tolist():
            out.write((pickle.NEWTRUE if flag else pickle.NEWFALSE) + pickle.APPEND)
        out.write(pickle.TUPLE2 + pickle.STOP)


# --- the content ---------------------------------------------------------------------------------


def _image(path: Path, number: int, item: Any, copies: dict[int, bytes]) -> bytes:
    """One image; an array that several pairs name is copied once."""
    if isinstance(item, bytes):
        return item
    if isinstance(item, _Array) and item.values is not None:
        values = item.values
        # Older versions of OpenCV encode to (n, 1).
        if values.dtype == np.uint8 and values.size == max(values.shape, default=0):
            if id(item) not in copies:
                copies[id(item)] = values.tobytes()
            return copies[id(item)]
        what = f"an array {values.dtype} {values.shape}"
    else:
        what = f"a value of type {type(item).__name__}"
    raise DataError(f"{path}: image {number} is {what}, expected an encoded image (bytes)")


def _genuine(path: Path, issame: Any) -> NDArray[np.bool_]:
    if isinstance(issame, _Array) and issame.values is not None and issame.values.ndim == 1:
        issame = issame.values.tolist()
    if not isinstance(issame, tuple | list):
        raise DataError(f"{path}: no verification set: expected a list of truth values second")
    truths = [item.item() if isinstance(item, np.generic) else item for item in issame]
    for number, item in enumerate(truths):
        if not isinstance(item, int) or item not in (0, 1):
            raise DataError(
                f"{path}: pair {number} is marked {_shown(item)}, expected True or False"
            )
    return np.array(truths, dtype=bool)


# --- the pickle ----------------------------------------------------------------------------------


_MOST_DIMENSIONS = 4


class _Refused(Exception):
    """The pickle asks for something that a verification set does not need."""


@dataclass(slots=True)
class _DType:
    """Stands for a numpy dtype until its byte order is known."""

    kind: str
    order: str = "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = _ascii(state[1])

    def resolve(self) -> np.dtype[Any]:
        if self.kind not in ("b1", "u1", "i1", "i2", "i4", "i8", "u2", "u4", "u8"):
            raise ValueError(f"an array of type {_shown(self.kind)}")
        if self.order not in ("|", "<", ">", "="):
            raise ValueError(f"the byte order {_shown(self.order)}")
        return np.dtype(self.order + self.kind)


@dataclass(slots=True)
class _Array:
    """Stands for a numpy array until its state is known."""

    values: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        self.values = _values(data, dtype, shape, "F" if fortran else "C")


def _values(data: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    if not isinstance(dtype, _DType) or not isinstance(data, bytes | bytearray):
        raise ValueError("an array without plain data")
    if not isinstance(shape, tuple) or len(shape) > _MOST_DIMENSIONS:
        raise ValueError("an array without a shape")
    if not all(isinstance(size, int) and 0 <= size <= len(data) for size in shape):
        raise ValueError("an array whose shape and data do not agree")
    kind = dtype.resolve()
    if len(data) != math.prod(shape) * kind.itemsize:
        raise ValueError("an array whose shape and data do not agree")
    return np.frombuffer(data, kind).reshape(shape, order="F" if order == "F" else "C")


def _new_array(*_: Any) -> _Array:
    return _Array()


def _array_from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    return _Array(_values(data, dtype, shape, _ascii(order)))


def _scalar(dtype: Any, data: Any) -> np.generic:
    values: np.ndarray = _values(data, dtype, (1,), "C")
    scalar: np.generic = values[0]
    return scalar


def _new_dtype(kind: Any, *_: Any) -> _DType:
    return _DType(_ascii(kind))


def _encode(text: Any, encoding: Any) -> bytes:
    """How Python 3 writes bytes in protocols that Python 2 reads."""
    if not isinstance(text, str) or _ascii(encoding) not in ("latin1", "latin-1"):
        raise _Refused(f"the codec {_shown(encoding)}")
    return text.encode("latin-1")


def _bytes(content: Any = b"", *encoding: Any) -> bytes:
    if encoding:
        return _encode(content, *encoding)
    if not isinstance(content, bytes):
        raise ValueError("bytes made of something else")
    return content


def _ascii(text: Any) -> str:
    """Text that Python 2 wrote as a byte string."""
    if not isinstance(text, bytes | str):
        raise ValueError(f"{_shown(text)} where a name belongs")
    return text.decode("ascii") if isinstance(text, bytes) else text


def _shown(value: Any) -> str:
    """A value for a message. Containers are named by type only: they may hold themselves, or each
    other thousands of times."""
    if isinstance(value, bytes | str):
        return repr(value[:40])
    if value is None or (isinstance(value, float | int) and abs(value) < 2**64):
        return repr(value)
    return f"a value of type {type(value).__name__}"


_ARRAY_CLASS = object()  # only ever passed to _new_array, which does not look at it

_CALLABLE: Mapping[tuple[str, str], Any] = MappingProxyType(
    {
        ("_codecs", "encode"): _encode,
        **{
            (module, name): _bytes
            for module in ("builtins", "__builtin__")
            for name in ("bytes", "bytearray")
        },
        ("numpy", "dtype"): _new_dtype,
        ("numpy", "ndarray"): _ARRAY_CLASS,
        **{
            (f"numpy.{core}.{module}", name): function
            for core in ("core", "_core")
            for module, name, function in (
                ("multiarray", "_reconstruct", _new_array),
                ("multiarray", "scalar", _scalar),
                ("numeric", "_frombuffer", _array_from_buffer),
            )
        },
    }
)

_OPERATIONS = """
    PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1
    LONG4 STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 UNICODE
    BINUNICODE SHORT_BINUNICODE BINUNICODE8 EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1
    TUPLE2 TUPLE3 GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL REDUCE
    BUILD
"""
"""All that plain data, numpy arrays and Python 3's bytes for Python 2 are made of."""


class _File:
    """Reads no more than there is: a few hostile bytes must not allocate gigabytes."""

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle
        self._size = os.fstat(handle.fileno()).st_size
        self.readline = handle.readline
        self.tell = handle.tell

    def read(self, count: int) -> bytes:
        if count > self._size - self._handle.tell():
            raise EOFError
        return self._handle.read(count)


# The interpreter in Python rather than the one in C, because its table can be cut down.
class _Interpreter(pickle._Unpickler):
    stack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]
    room: int
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        code: pickle._Unpickler.dispatch[code]
        for code in (getattr(pickle, name)[0] for name in _OPERATIONS.split())
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _CALLABLE[module, name]
        except KeyError:
            raise _Refused(f"{module:.40}.{name:.40}") from None

    def load_build(self) -> None:
        """Set the state of one of our own stand-ins, and of nothing else."""
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, _Array | _DType):
            raise _Refused(f"the state of a {type(target).__name__}")
        target.__setstate__(state)

    def load_bytearray8(self) -> None:
        """Bytes will do; the original allocates before it reads."""
        (size,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(size))

    def load_reduce(self) -> None:
        """Make a value; all bytes made together are no more than the file's."""
        arguments = self.stack[-1]
        super().load_reduce()  # type: ignore[misc]
        made = self.stack[-1]
        if isinstance(made, bytes) and not any(made is given for given in arguments):
            self.room -= len(made)
            if self.room < 0:
                raise _Refused("more bytes than it has")

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


def _load(path: Path, handle: IO[bytes]) -> Any:
    try:
        interpreter = _Interpreter(_File(handle), encoding="bytes")
        interpreter.room = os.fstat(handle.fileno()).st_size
        return interpreter.load()
    except _Refused as error:
        raise DataError(
            f"{path}: refused: this pickle asks for {error}, which no verification set needs. "
            "Nothing of it was run; do not open it with another program"
        ) from None
    except EOFError:
        raise DataError(
            f"{path}: truncated, or no verification set: its content goes on after its end"
        ) from None
    except KeyError as error:
        reason = f"it holds the operation {error}, which plain data do not need"
    except Exception as error:
        # Damaged pickles raise nearly anything (UnpicklingError, IndexError, TypeError, …).
        reason = str(error) or type(error).__name__
    raise DataError(
        f"{path}: no verification set, or damaged near byte {handle.tell():,} ({reason})"
    )
