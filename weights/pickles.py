"""Pickles of PyTorch from anybody, read as data: tensors, names and numbers in lists and dicts, and nothing else.

Python's own unpickler calls what a pickle names, and can be made to take any amount of memory. This one is a small
machine of its own: it knows some opcodes and the few names below, which stand for what is written here, and it never
looks deep into what it has put together.
"""

import pickletools
from typing import NamedTuple

# The types of numbers that a storage may have, as NumPy has them; 'bfloat16' is the upper half of a float32.
TYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": "bfloat16",
         "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1",
         "BoolStorage": "?"}
MAX_OPCODES = 2_000_000  # a state dict takes about 30 a tensor
MAX_AXES = 8
ERRORS = (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError)  # of damaged pickles
MARK = object()


class Storage(NamedTuple):
    """A row of numbers outside the pickle: its name there, their type, a key of `TYPES`, and how many they are."""

    key: str
    type: str
    count: int


class StoredTensor(NamedTuple):
    """A view of a storage; offset and strides count numbers."""

    storage: Storage
    offset: int
    shape: tuple
    strides: tuple


class Name(NamedTuple):
    """What a pickle names: 'module name'."""

    name: str


class Refused(Exception):
    """A pickle holds something else than tensors; the text names it."""


class Object:
    """What stands for objects without weights that PyTorch stores beside them, such as a device."""


def read_pickle(stream, types=None):
    """Reads one pickle, and leaves `stream` (a binary file) behind it.

    Args:
        types: a dict, to which the type of each storage that the pickle names is added by its key.

    Returns:
        A str, number, bool, None, list, tuple, dict, `StoredTensor`, `Name` or `Object`; the last four parts in any of
        them. A storage is a `Storage`.

    Raises:
        Refused: it holds other objects.
        ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError: it is damaged.
    """
    machine = _Machine({} if types is None else types)
    for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if number >= MAX_OPCODES:
            raise Refused(f"more than {MAX_OPCODES:,} steps")
        if opcode.name == "STOP":
            return machine.pop()
        step = STEPS.get(opcode.name)
        if step is None:
            raise Refused(f"the opcode {opcode.name}")
        step(machine, argument)
    raise ValueError("the pickle has no end")


class _Machine:
    """The stack and the memo of a pickle."""

    def __init__(self, types):
        self.stack, self.memo, self.types = [], {}, types

    def push(self, value):
        self.stack.append(value)

    def pop(self):
        value = self.stack.pop()
        if value is MARK:
            raise ValueError("a mark is out of place")
        return value

    def pop_marked(self):
        """Returns what lies above the last mark."""
        values = []
        while (value := self.stack.pop()) is not MARK:
            values.append(value)
        return values[::-1]

    def pop_many(self, count):
        return tuple(self.pop() for _ in range(count))[::-1]

    def name(self, name):
        if name not in CALLS and name not in VALUES:
            raise Refused(name.replace(" ", "."))
        self.push(Name(name))

    def name_of_stack(self):
        module, name = self.pop_many(2)
        self.name(f"{module:s} {name:s}")

    def put(self, key):
        self.memo[key] = self.stack[-1]

    def append(self, values):
        _expect(self.stack[-1], list).extend(values)

    def set_items(self, values):
        target = _expect(self.stack[-1], dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[_expect(key, str, int)] = value  # any other key might take long to compare

    def call(self):
        function, arguments = self.pop_many(2)
        if not isinstance(function, Name) or function.name not in CALLS:
            raise Refused(f"a call of {type(function).__name__}")
        self.push(CALLS[function.name](*_expect(arguments, tuple)))

    def build(self):
        """Leaves out the state of a dict, which PyTorch uses for version numbers."""
        self.pop()
        _expect(self.stack[-1], dict)

    def storage(self):
        kind, type_name, key, _, count, *rest = _expect(self.pop(), tuple)
        if kind != "storage" or any(part is not None for part in rest):
            raise Refused("a storage that is a part of another")
        name = _expect(type_name, Name).name.split(" ")[1]
        if TYPES[name] != TYPES[self.types.setdefault(_expect(key, str), name)]:
            raise ValueError(f"its storage {key} has two types")
        self.push(Storage(key, name, _count(count)))


def _expect(value, *types):
    if type(value) not in types:
        raise TypeError(f"{type(value).__name__} where {types[0].__name__} was expected")
    return value


def _count(value):
    if _expect(value, int) < 0 or value >= 2**48:
        raise ValueError(f"{value} is no number of elements")
    return value


def _tensor(storage, offset, shape, strides, *_):
    if len(_expect(shape, tuple)) != len(_expect(strides, tuple)) or len(shape) > MAX_AXES:
        raise ValueError("a tensor has other axes than steps")
    return StoredTensor(_expect(storage, Storage), _count(offset), tuple(map(_count, shape)),
                        tuple(map(_count, strides)))


def _parameter(tensor, *_):
    return _expect(tensor, StoredTensor)


def _ordered(pairs=()):
    return {_expect(key, str, int): value for key, value in _expect(pairs, list, tuple)}


CALLS = {
    "collections OrderedDict": _ordered,
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "torch._utils _rebuild_parameter_with_state": _parameter,
    "torch.nn.parameter Parameter": _parameter,
    "torch Size": lambda shape: tuple(_expect(shape, list, tuple)),
    "torch device": lambda *_: Object(),
}
VALUES = {f"torch.cuda {name}" for name in TYPES}  # of old files, whatever the device
VALUES |= {f"torch {name}" for name in (*TYPES, "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16",
                                       "int8", "uint8", "bool", "strided", "contiguous_format")}
STEPS = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "MARK": lambda machine, _: machine.push(MARK),
    "POP": lambda machine, _: machine.stack.pop(),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_marked())),
    "TUPLE1": lambda machine, _: machine.push(machine.pop_many(1)),
    "TUPLE2": lambda machine, _: machine.push(machine.pop_many(2)),
    "TUPLE3": lambda machine, _: machine.push(machine.pop_many(3)),
    "APPEND": lambda machine, _: machine.append(machine.pop_many(1)),
    "APPENDS": lambda machine, _: machine.append(machine.pop_marked()),
    "SETITEM": lambda machine, _: machine.set_items(machine.pop_many(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_marked()),
    "GLOBAL": lambda machine, name: machine.name(name),
    "STACK_GLOBAL": lambda machine, _: machine.name_of_stack(),
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.storage(),
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), lambda machine, key: machine.put(key)),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda machine, key: machine.push(machine.memo[key])),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE",
                     "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"),
                    lambda machine, value: machine.push(value)),
}
