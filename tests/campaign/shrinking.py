"""Delta debugging: a list that fails, made as short as it goes on failing."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

Item = TypeVar("Item")
Fails = Callable[[list[Item]], bool]


def shrink(items: Sequence[Item], fails: Fails[Item]) -> list[Item]:
    """Return a part of the items, in their order, that fails, of which no single item can be left out.

    The items themselves are known to fail. ``fails`` is asked for no list twice; where it answers False for want of
    time, what was shortest until then is returned.
    """
    shortest, parts, asked = list(items), 2, dict[tuple[int, ...], bool]()
    places = list(range(len(shortest)))

    def still_fails(chosen: list[int]) -> bool:
        if tuple(chosen) not in asked:
            asked[tuple(chosen)] = fails([items[place] for place in chosen])
        return asked[tuple(chosen)]

    while len(places) > 1:
        pieces = _pieces(places, min(parts, len(places)))
        smaller = _smaller(places, pieces, still_fails)
        if smaller is not None:
            parts = 2 if smaller in pieces else max(parts - 1, 2)
            places = smaller
        elif parts >= len(places):
            break
        else:
            parts *= 2
    return [items[place] for place in places]


def _smaller(places: list[int], pieces: list[list[int]], still_fails: Callable[[list[int]], bool]) -> list[int] | None:
    """Return a piece that fails alone, or all that is left without a piece, or None."""
    rests = [[place for place in places if place not in piece] for piece in pieces]
    tried = [*pieces, *rests] if len(pieces) > 2 else pieces
    return next((chosen for chosen in tried if still_fails(chosen)), None)


def _pieces(places: list[int], parts: int) -> list[list[int]]:
    bounds = [len(places) * part // parts for part in range(parts + 1)]
    return [places[first:last] for first, last in pairwise(bounds)]
