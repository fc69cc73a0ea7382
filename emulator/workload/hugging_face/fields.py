"""The fields of one configuration, each read once, by its name, with transformers' default where a file leaves it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.emulator.errors import InputError

MOST = 10**9
LEGACY_LAYERS = {
    "attention": "full_attention",
    "mamba": "linear_attention",
    "recurrent": "linear_attention",
    "deepseek_sparse_attention": "indexed_attention",
}
"""What layers were called before transformers 5."""


class Fields:
    """Fields of a file over the defaults of its model_type; aliases: other names of the same field; fields: further ones
    that the type has, which need not be read.

    Every reading method raises InputError that names the field for a value of the wrong type or size.
    """

    def __init__(
        self, given: Mapping[str, Any], defaults: Mapping[str, Any], aliases: Mapping[str, str], fields: Sequence[str] = ()
    ) -> None:
        self.given = dict(given)
        for other, key in aliases.items():
            if other in given and key not in given:
                self.given[key] = given[other]
        self.defaults = defaults
        self.fields = frozenset(fields)
        self.read = {*aliases}

    def value(self, *keys: str) -> Any:
        """The first of keys that the file has, else the default of the first that has one, else None."""
        self.read.update(keys)
        for key in keys:
            if key in self.given:
                return self.given[key]
        return next((self.defaults[key] for key in keys if key in self.defaults), None)

    def has(self, key: str) -> bool:
        """Whether the file itself has the field."""
        return key in self.given

    def count(self, *keys: str, least: int = 1) -> int:
        """A whole number."""
        value = self.value(*keys)
        if value is None:
            raise InputError(f"{keys[0]}: missing")
        return whole(keys[0], value, least)

    def amount(self, *keys: str) -> int:
        """A whole number or 0; 0 where neither the file nor the type has it."""
        value = self.value(*keys)
        return 0 if value is None else whole(keys[0], value, 0)

    def maybe(self, *keys: str) -> int | None:
        """A whole number, or None where the file says null or nobody says anything."""
        value = self.value(*keys)
        return None if value is None else whole(keys[0], value, 1)

    def flag(self, rule: bool | str) -> bool:
        """The value of a field, false where nobody says anything; or the rule itself, if it is no name of a field."""
        if isinstance(rule, bool):
            return rule
        value = self.value(rule)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise InputError(f"{rule} = {value!r:.60}: input should be a valid boolean")
        return value

    def number(self, *keys: str) -> float:
        """A number above 0."""
        value = self.value(*keys)
        if value is None:
            raise InputError(f"{keys[0]}: missing")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < MOST:
            raise InputError(f"{keys[0]} = {value!r:.60}: input should be a number above 0")
        return float(value)

    def word(self, key: str) -> str | None:
        value = self.value(key)
        if value is not None and not isinstance(value, str):
            raise InputError(f"{key} = {value!r:.60}: input should be a valid string")
        return value

    def numbers(self, key: str, layers: int | None = None) -> list[int] | None:
        """A list of whole numbers; of layers entries, if that is given."""
        value = self._list(key, layers)
        return None if value is None else [whole(f"{key}[{place}]", each, 0) for place, each in enumerate(value)]

    def words(self, key: str, layers: int | None = None, known: Sequence[str] = ()) -> list[str] | None:
        """A list of words, of those that are known; of layers entries, if that is given."""
        value = self._list(key, layers)
        if value is None:
            return None
        found = [LEGACY_LAYERS.get(each, each) if isinstance(each, str) else each for each in value]
        for place, each in enumerate(found):
            if not isinstance(each, str) or (known and each not in known):
                raise InputError(f"{key}[{place}] = {each!r:.60}: known are {', '.join(known)}")
        return found

    def inner(self, key: str) -> Mapping[str, Any]:
        """An object; empty where nobody says anything."""
        value = self.value(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise InputError(f"{key} = {value!r:.60}: input should be an object")
        return value

    def _list(self, key: str, layers: int | None) -> list[Any] | None:
        value = self.value(key)
        if value is None:
            return None
        if not isinstance(value, list):
            raise InputError(f"{key} = {value!r:.60}: input should be a list")
        if layers is not None and len(value) != layers:
            raise InputError(f"{key}: {len(value)} of num_hidden_layers = {layers}")
        return value


def whole(key: str, value: Any, least: int) -> int:
    """value, if it is a whole number of at least least."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{key} = {value!r:.60}: input should be a valid integer")
    if value < least:
        raise InputError(f"{key} = {value}: input should be greater than {'or equal to ' if least == 0 else ''}0")
    if value > MOST:
        raise InputError(f"{key} = {str(value)[:60]}: input should be less than or equal to {MOST}")
    return value
