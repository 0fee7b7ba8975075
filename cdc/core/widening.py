"""Changes of a column's type, in the words of MySQL or Oracle, that leave every value as it is."""

import re

_INTEGERS = ("tinyint", "smallint", "mediumint", "int", "bigint")
_TEXTS = {
    "char": 0, "varchar": 1, "varchar2": 1, "tinytext": 2, "text": 3, "mediumtext": 4, "longtext": 5, "clob": 5,
    "binary": 10, "varbinary": 11, "tinyblob": 12, "blob": 13, "mediumblob": 14, "longblob": 15,
}  # fmt: skip
_EXACT = ("decimal", "numeric", "number")
_FRACTIONS = ("datetime", "timestamp", "time")
_TYPE = re.compile(r"(?P<name>\w+)(?:\((?P<arguments>.*)\))?(?P<rest>.*)", re.DOTALL)


def widened(before: str, now: str) -> bool:
    """Return whether each value of the one type is a value of the other, and the same one."""
    old, new = _TYPE.fullmatch(before), _TYPE.fullmatch(now)
    if old is None or new is None or ("unsigned" in old["rest"]) != ("unsigned" in new["rest"]):
        return False
    was, is_ = old["name"], new["name"]
    if was in _INTEGERS and is_ in _INTEGERS:
        return _INTEGERS.index(was) <= _INTEGERS.index(is_)
    if was in _TEXTS and is_ in _TEXTS:
        return _longer((was, old["arguments"]), (is_, new["arguments"]))
    if was != is_:
        return (was, is_) == ("float", "double")
    if was in ("enum", "set"):  # labels that are appended
        return bool((new["arguments"] or "").startswith(old["arguments"] or ""))
    if was == "year":
        return True
    if was in _EXACT:
        return _more_digits(_numbers(old["arguments"]), _numbers(new["arguments"]))
    return was in _FRACTIONS and _numbers(old["arguments"]) <= _numbers(new["arguments"])


def _longer(old: tuple[str, str | None], new: tuple[str, str | None]) -> bool:
    (was, length), (is_, longer) = old, new
    if _TEXTS[was] // 10 != _TEXTS[is_] // 10 or _TEXTS[was] > _TEXTS[is_]:  # what is fixed is padded, or trimmed
        return False
    if is_ == "binary":
        return length == longer
    return _TEXTS[is_] % 10 >= 2 or _numbers(length) <= _numbers(longer)


def _more_digits(old: list[int], new: list[int]) -> bool:
    (precision, scale), (wider, finer) = ([*digits, 0][:2] if digits else (10, 0) for digits in (old, new))
    return finer >= scale and wider - finer >= precision - scale


def _numbers(arguments: str | None) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", arguments or "")]
