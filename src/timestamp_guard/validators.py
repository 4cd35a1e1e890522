"""
The guard in service code: one value, the attributes of an attrs class, and what cattrs reads and writes.

::

    fresh = timestamp("epoch_ms")                        # one value, or one attribute

    @guarded(updated_at_guard("updated_at", "created_at"))   # a whole instance, also on assignment
    @attrs.define
    class Service:
        created_at: datetime
        updated_at: datetime

    register_timestamps(converter, "epoch_ms")           # raw values in, aware datetimes out, and back

One record without a class is judged by :meth:`timestamp_guard.Guard.compile`.
"""

from __future__ import annotations

import functools
import time
import typing
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import attrs

from .errors import InvalidTimestamps, UnknownName, UsageError
from .instants import (
    ABSENT,
    EXACT_FLOAT,
    YEAR_1,
    YEAR_10000,
    Encoding,
    Encodings,
    Raw,
    decode,
    duration_ns,
    encode,
    from_datetime,
    hint,
    show,
    show_duration,
    to_datetime,
)
from .predicate import Code, Violation, violations
from .rules import Field, Guard, Moment, in_order, present, updated_at_guard
from .targets.gate import Compiled
from .targets.python import judge, native_bounds

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = [
    "Follows",
    "Timestamp",
    "explain",
    "follows",
    "guarded",
    "located",
    "register_timestamps",
    "timestamp",
]

T = TypeVar("T")

Clock: TypeAlias = "int | Callable[[], int] | None"
"""The present time in nanoseconds, a function that gives it, or nothing for the clock of this machine."""

VALUE: Final = "value"
"""What a single value is called in its violations, as long as nobody knows a better name."""

UNKNOWN: Final = frozenset[Code]({"missing", "null", "placeholder"})
"""Causes that say "nobody knows", where the others say "nobody can read this"."""


# -- one value --------------------------------------------------------------------------------------------------


def timestamp(
    encoding: str | Encoding,
    *,
    skew: timedelta = timedelta(seconds=5),
    earliest: datetime = datetime.fromisoformat("2000-01-01T00:00:00+00:00"),
    now: Clock = None,
) -> Timestamp:
    """
    A validator of single values: each must be an instant, not before *earliest* and not more than *skew* in the future.

    Make it once and keep it.
    It also goes on a field of an attrs class, and into `Annotated[datetime, ...]` for cattrs.

    Raises:
        UsageError: an unknown *encoding*, a negative *skew*, or a naive *earliest*.
    """
    guard = updated_at_guard(VALUE, skew=skew, earliest=earliest)
    read = Encoding.parse(encoding)
    shown = f"{show(from_datetime(earliest))} <= {VALUE} <= NOW + {show_duration(duration_ns(skew))}"
    return Timestamp(read, guard, shown, _clock(now), _value_holds(guard, read, now))


@attrs.frozen(repr=False)
class Timestamp:
    """
    Judges one value: call it, or ask :meth:`holds` or :meth:`violations`. Made by :func:`timestamp`.

    With the clock of this machine, the clock is read again when a value seems to lie in the future, and not before.
    """

    encoding: Encoding
    """How the values are written."""

    guard: Guard
    """What must hold of a record whose only field is the value."""

    _shown: str = attrs.field(eq=False)
    _now: Callable[[], int]

    holds: Callable[[Raw], bool] = attrs.field(eq=False)
    """Whether nothing is wrong with a value: the fastest way to ask."""

    def __call__(self, value: Raw, attribute: attrs.Attribute[Any] | None = None, assigned: Raw = None, /) -> None:
        """
        Judge *value*; with three arguments (instance, attribute, value), as attrs calls validators, judge the last.

        Raises:
            InvalidTimestamps: something is wrong with it; `violations` holds all of it.
        """
        if attribute is not None:
            value = assigned
        if not self.holds(value):
            found = self.violations(value, VALUE if attribute is None else attribute.name)
            if found:  # a fresh value may have become present between two readings of the clock
                raise InvalidTimestamps(found)

    def violations(self, value: Raw, name: str = VALUE) -> list[Violation]:
        """All that is wrong with *value*, which is called *name* in what is said."""
        found = violations({VALUE: value}, self.guard, self.encoding, self._now())
        return [attrs.evolve(violation, field=name) for violation in found]

    def __repr__(self) -> str:
        return f"<timestamp {self.encoding}: {self._shown}>"


def _clock(now: Clock) -> Callable[[], int]:
    if isinstance(now, int):
        return functools.partial(int, now)
    return now or time.time_ns


_HOLDS: Final = """
def make(full, limit, high):
    def late(value):
        nonlocal high
        if not full(value):
            return False
        high = limit()
        return True
    def holds(value):
        if type(value) is int:
            return LOW <= value <= HIGH LATE
        if type(value) is float and LOW <= value <= HIGH and value <= EXACT:
            return True
        return value is not None and type(value) is not str and full(value)
    return holds
"""
"""Text, because literals are read faster than the cells of a closure; only numbers of our own are put in."""


def _value_holds(guard: Guard, encoding: Encoding, now: Clock) -> Callable[[Raw], bool]:
    """
    A function that tells whether a value satisfies *guard*, the one of :func:`timestamp`.

    Whole numbers and floats are compared in their own unit, everything else is judged in full.
    A limit that moves with the clock is computed anew when a value above it turns out to hold.
    """
    faults, clock = judge(guard, {VALUE: encoding}), _clock(now)

    def full(value: Raw) -> bool:
        moment = clock()
        return not faults({VALUE: value}, moment, moment)

    def limits() -> tuple[int, int]:
        """The lowest and the highest whole number that holds."""
        low, high = native_bounds(guard, VALUE, encoding, Moment.at(clock()))
        assert low is not None and high is not None  # noqa: PT018, S101 - for the type checker
        return -(-low.numerator // low.denominator), -(-high.numerator // high.denominator) - 1

    pinned = isinstance(now, int)
    # A clock of the caller's may go backwards, as tests do, so only the machine's may be remembered.
    if not encoding.is_number or not (pinned or now is None):
        return full
    low, high = limits()
    if low <= max({0, *encoding.placeholders.numbers}):
        return full
    source = _HOLDS.replace("LOW", str(low)).replace("EXACT", str(EXACT_FLOAT))
    source = source.replace("LATE", "" if pinned else "or value > high and late(value)")
    source = source.replace("HIGH", str(high) if pinned else "high")
    scope: dict[str, Any] = {}
    exec(compile(source, "<timestamp_guard timestamp>", "exec"), scope)  # noqa: S102 - made of our own lines alone
    holds: Callable[[Raw], bool] = scope["make"](full, lambda: limits()[1], high)
    return holds


# -- attrs ------------------------------------------------------------------------------------------------------


def follows(other: str, *, tolerance: timedelta = timedelta(0), encoding: str | Encoding = "datetime") -> Follows:
    """
    A validator for a field of an attrs class: its instant is not before that of *other*, give or take *tolerance*.

    Where one of the two is unknown (null, a placeholder, not set) there is nothing to compare; a value that cannot be
    read as *encoding*, such as a naive datetime, is a violation, because nothing could be compared.
    On assignment attrs runs it for its own field alone: moving *other* is seen by :func:`guarded`.

    Raises:
        UsageError: an unknown *encoding*, or a negative *tolerance*.
    """
    if tolerance < timedelta(0):
        msg = f"tolerance is {tolerance}, and cannot be negative"
        raise UsageError(msg)
    return Follows(other, tolerance, Encoding.parse(encoding))


@attrs.frozen(repr=False)
class Follows:
    """Judges one attribute by another of the same instance. Made by :func:`follows`."""

    other: str
    tolerance: timedelta
    encoding: Encoding

    def __call__(self, instance: Any, attribute: attrs.Attribute[Any], value: Raw) -> None:
        """
        Judge *value* as the *attribute* of *instance*.

        Raises:
            InvalidTimestamps: it lies before the other, or one of the two cannot be read.
            UnknownName: the class has no attribute of the other name.
        """
        before = getattr(instance, self.other, ABSENT)
        if before is ABSENT:
            _known(type(instance), self.other)
        record = {self.other: before, attribute.name: value}
        compiled = _both_in_order(self.other, attribute.name, self.tolerance, self.encoding)
        if not compiled.holds(record):
            found = [v for v in compiled.violations(record) if v.code not in UNKNOWN]
            if found:
                raise InvalidTimestamps(found)

    def __repr__(self) -> str:
        tolerance = f", tolerance {show_duration(duration_ns(self.tolerance))}" if self.tolerance else ""
        return f"<follows {self.other!r} as {self.encoding}{tolerance}>"


@functools.cache
def _both_in_order(earlier: str, later: str, tolerance: timedelta, encoding: Encoding) -> Compiled:
    guard = present(earlier) & present(later) & in_order(Field(earlier) - tolerance, later)
    return guard.compile(encoding)


def _known(cls: type, name: str) -> None:
    """
    See that *cls* has an attribute *name*.

    Raises:
        UnknownName: it has not.
    """
    names = [attribute.name for attribute in attrs.fields(cls)]
    if name not in names:
        raise UnknownName("attribute", name, f"the class {cls.__qualname__}", names)


def guarded(guard: Guard, encodings: Encodings = "datetime", *, now: Clock = None) -> Callable[[type[T]], type[T]]:
    """
    A decorator, above `@attrs.define`: every instance satisfies *guard*, whose fields are attributes.

    The whole instance is judged when it is made and when one of those attributes is assigned, so that moving
    `created_at` past `updated_at` is refused too; a refused assignment leaves them all as they were.
    To move two of them at once, use :func:`attrs.evolve`.
    Subclasses are guarded as well; converters, validators and `on_setattr` hooks run first;
    `attrs.validators.set_disabled` turns this off with all the others.

    Raises:
        UsageError: no guard is given, or what is decorated is no finished attrs class.
        UnknownName: the guard mentions an attribute that the class has not.
    """
    given: object = guard  # a decorator without its call is given the class
    if not isinstance(given, Guard):
        msg = f"guarded takes a guard, not {given!r}: write @guarded(updated_at_guard(...)) above @attrs.define"
        raise UsageError(msg)
    watch = _Watch(guard.compile(encodings, now=now))

    def decorate(cls: type[T]) -> type[T]:
        # A subclass that attrs has not yet finished inherits this: only its own counts.
        if "__attrs_attrs__" not in getattr(cls, "__dict__", {}):
            msg = f"{cls!r} is no attrs class: @guarded goes above @attrs.define"
            raise UsageError(msg)
        for name in guard.fields:
            _known(cls, name)
        watch.over(cls)
        watch.over_subclasses(cls)
        return cls

    return decorate


@attrs.define(eq=False)
class _Watch:
    """One guard over the instances of a class and of its subclasses."""

    compiled: Compiled
    names: frozenset[str] = attrs.field(init=False)
    unfinished: set[int] = attrs.field(init=False, factory=set)
    """The ids of instances that are being made: attrs assigns one attribute after the other."""

    def __attrs_post_init__(self) -> None:
        self.names = frozenset(self.compiled.guard.fields)

    def read(self, instance: Any) -> dict[str, Raw]:
        """The guarded attributes that are set."""
        found = ((name, getattr(instance, name, ABSENT)) for name in self.names)
        return {name: value for name, value in found if value is not ABSENT}

    def judge(self, instance: Any) -> None:
        if not attrs.validators.get_disabled():
            self.compiled(self.read(instance))

    def over(self, cls: Any) -> None:
        """Watch over how instances of *cls* are made and changed, unless that is inherited from a watched class."""
        if not self.watches(cls.__init__):
            cls.__init__ = self.over_init(cls.__init__)
        # The __setattr__ of a frozen class raises, and is how attrs knows that its subclasses are frozen.
        if not attrs.inspect(cls).is_frozen and not self.watches(cls.__setattr__):
            cls.__setattr__ = self.over_setattr(cls.__setattr__)

    def over_subclasses(self, cls: Any) -> None:
        """Watch over the attrs subclasses of *cls*, for which attrs writes new methods."""
        theirs = getattr(cls, "__attrs_init_subclass__", None)

        def __attrs_init_subclass__(subclass: type) -> None:  # noqa: N807 - attrs calls it by this name
            if theirs is not None:
                theirs.__func__(subclass)
            self.over(subclass)

        cls.__attrs_init_subclass__ = classmethod(__attrs_init_subclass__)

    def watches(self, method: Any) -> bool:
        return self in getattr(method, "_watches", ())

    def mark(self, method: Any, inner: Any) -> Any:
        method._watches = (*getattr(inner, "_watches", ()), self)  # noqa: SLF001 - our own mark
        return method

    def over_init(self, init: Callable[..., None]) -> Any:
        @functools.wraps(init)
        def __init__(instance: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it replaces that method
            me = id(instance)
            if me in self.unfinished:  # a subclass calls it, and judges when it is done
                return init(instance, *args, **kwargs)
            self.unfinished.add(me)
            try:
                init(instance, *args, **kwargs)
            finally:
                self.unfinished.discard(me)
            return self.judge(instance)

        return self.mark(__init__, init)

    def over_setattr(self, setter: Callable[[Any, str, Any], None]) -> Any:
        @functools.wraps(setter)
        def __setattr__(instance: Any, name: str, value: Any) -> None:  # noqa: N807 - it replaces that method
            if name not in self.names or id(instance) in self.unfinished:
                return setter(instance, name, value)
            before = self.read(instance)
            try:
                setter(instance, name, value)
                self.judge(instance)
            except BaseException:
                self.restore(instance, before)
                raise

        return self.mark(__setattr__, setter)

    def restore(self, instance: Any, before: dict[str, Raw]) -> None:
        """Put all guarded attributes back, past every hook; a hook may have changed more than the one assigned."""
        for name, value in self.read(instance).items():
            if name not in before:
                object.__delattr__(instance, name)
            elif value is not before[name]:
                object.__setattr__(instance, name, before[name])


# -- cattrs -----------------------------------------------------------------------------------------------------


def register_timestamps(converter: Converter, encoding: str | Encoding | Timestamp = "rfc3339") -> None:
    """
    Teach *converter* to read raw timestamps as aware datetimes in UTC, floored to microseconds, and to write them down.

    Every `datetime` is written in *encoding*, and `Annotated[datetime, Encoding.parse("epoch_s")]` in its own;
    a :class:`Timestamp` in place of an encoding judges what is read as well.
    Structuring raises :class:`InvalidTimestamps` for what holds no instant, or none that a datetime can hold
    (`too_early` before the year 1, `in_future` after 9999), which cattrs wraps: see :func:`explain`.
    Unstructuring raises it for a naive datetime, unless the encoding is `datetime` with a zone; a finer instant than
    the encoding holds is floored to its resolution.

    Raises:
        UsageError: an unknown *encoding*.
    """
    usual = encoding if isinstance(encoding, Timestamp) else Encoding.parse(encoding)
    converter.register_structure_hook(datetime, _reader(usual))
    converter.register_unstructure_hook(datetime, _writer(usual))

    def annotated(kind: Any) -> bool:
        return _annotation(kind) is not None

    def reader(kind: Any) -> Callable[[Raw, Any], datetime | None]:
        return _reader(_annotation(kind) or usual, optional=_is_optional(kind))

    def writer(kind: Any) -> Callable[[datetime | None], Raw]:
        return _writer(_annotation(kind) or usual, optional=_is_optional(kind))

    converter.register_structure_hook_factory(annotated, reader)
    converter.register_unstructure_hook_factory(annotated, writer)


def located(error: BaseException) -> list[tuple[str, Violation]]:
    """
    Where in the data each violation lies that *error*, raised while structuring, is about.

    Paths look like `$.services[3].updatedAt` and use the names of attributes.
    An absent key of a `datetime` counts as `missing`.
    A converter without `detailed_validation` stops at the first problem and does not say where: its path is `$`.
    """
    return [(path, violation) for path, found, _ in _problems(error) for violation in found]


def explain(error: BaseException) -> list[str]:
    """
    Everything that *error*, raised while structuring, is about: `$.services[3].updatedAt: ...`.

    Like :func:`cattrs.transform_error`, which knows nothing of violations and drops their words.
    """
    said = []
    for path, found, words in _problems(error):
        said += [f"{path}: {violation}" for violation in found] or [f"{path}: {words}"]
    return said


Encoded: TypeAlias = "Encoding | Timestamp"

AWARE: Final = attrs.evolve(
    Encoding.parse("datetime/ns"),
    placeholders=attrs.evolve(Encoding.parse("datetime").placeholders, spans=()),
)
"""Any datetime with a time zone: what is written is not judged."""


def _reader(how: Encoded, *, optional: bool = False) -> Callable[[Raw, Any], datetime | None]:
    encoding = how.encoding if isinstance(how, Timestamp) else how

    def read(raw: Raw, _: Any) -> datetime | None:
        if optional and raw is None:
            return None
        if isinstance(how, Timestamp):
            how(raw)
        instant = decode(raw, encoding)
        if isinstance(instant, int) and YEAR_1 <= instant < YEAR_10000:
            return to_datetime(instant)
        now = time.time_ns()  # for hints alone
        if isinstance(instant, str):
            raise InvalidTimestamps(violations({VALUE: raw}, present(VALUE), encoding, now))
        code: Code = "too_early" if instant < YEAR_1 else "in_future"
        wanted = f"an instant that a datetime holds, from {show(YEAR_1)} to {show(YEAR_10000 - 1000)}"
        raise InvalidTimestamps([Violation(code, VALUE, None, raw, wanted, hint(raw, encoding, now))])

    return read


def _writer(how: Encoded, *, optional: bool = False) -> Callable[[datetime | None], Raw]:
    encoding = how.encoding if isinstance(how, Timestamp) else how

    def write(value: datetime | None) -> Raw:
        if optional and value is None:
            return None
        instant = decode(value, AWARE)
        if isinstance(instant, int):
            return encode(instant, encoding)
        raise InvalidTimestamps(violations({VALUE: value}, present(VALUE), AWARE, time.time_ns()))

    return write


def _annotation(kind: Any) -> Encoded | None:
    """How `Annotated[datetime, ...]` or `Annotated[datetime | None, ...]` says that it is written."""
    if typing.get_origin(kind) is not typing.Annotated or not _is_datetime(kind):
        return None
    said = [each for each in kind.__metadata__ if isinstance(each, Encoding | Timestamp)]
    return said[-1] if said else None


def _is_optional(kind: Any) -> bool:
    """Whether an annotated type has None among its own."""
    return NoneType in typing.get_args(kind.__origin__)


def _is_datetime(kind: Any) -> bool:
    """Whether *kind* is `datetime`, annotated, optional, or both."""
    if typing.get_origin(kind) is typing.Annotated:
        return _is_datetime(kind.__origin__)
    if typing.get_origin(kind) in {typing.Union, UnionType}:
        return all(part is NoneType or _is_datetime(part) for part in typing.get_args(kind))
    return kind is datetime


def _problems(error: BaseException) -> Iterator[tuple[str, list[Violation], str]]:
    """Every problem with its path: as violations, or in the words of cattrs where it is none of ours."""
    from cattrs.v import format_exception  # loaded on first use

    for path, name, problem, kind in _leaves(error, "$", VALUE, None):
        found: list[Violation] = []
        if isinstance(problem, InvalidTimestamps):
            for violation in problem.violations:
                if violation.field == VALUE:
                    yield path, [attrs.evolve(violation, field=name)], ""
                else:  # judged as a whole instance, whose path this is
                    deeper = path if problem is error else f"{path}.{violation.field}"
                    yield deeper, [violation], ""
            continue
        if isinstance(problem, KeyError) and _is_datetime(kind):
            how = _annotation(kind)
            encoding = how.encoding if isinstance(how, Timestamp) else how
            found = [Violation("missing", name, None, ABSENT, encoding.wanted if encoding else "a timestamp")]
        yield path, found, format_exception(problem, kind)


def _leaves(error: BaseException, path: str, name: str, kind: Any) -> Iterator[tuple[str, str, BaseException, Any]]:
    """The exceptions within those of cattrs: each with its path, its name there, and the type that was wanted."""
    from cattrs.errors import (  # loaded on first use
        ClassValidationError,
        IterableValidationError,
    )

    if isinstance(error, ClassValidationError):
        inside, whole = error.group_exceptions()
        for problem, note in inside:
            yield from _leaves(problem, f"{path}.{note.name}", note.name, note.type)
    elif isinstance(error, IterableValidationError):
        within, whole = error.group_exceptions()
        for problem, at in within:
            step = f"[{at.index!r}]"
            yield from _leaves(problem, path + step, name + step, at.type)
    else:
        yield path, name, error, kind
        return
    for problem in whole:
        yield from _leaves(problem, path, name, None)
