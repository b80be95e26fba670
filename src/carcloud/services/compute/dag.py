"""Which job waits for which: a graph without circles."""

from collections.abc import Mapping, Sequence


class Circle(ValueError):
    """Jobs wait for each other; `path` names them in order, the first one again at the end."""

    def __init__(self, path: Sequence[str]) -> None:
        super().__init__(" waits for ".join(path))
        self.path = tuple(path)


def in_order(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """The keys, each after all that it needs; raises `Circle`.

    What is needed but is no key itself is left out: it exists already.
    """
    done: dict[str, None] = {}
    for start in needs:
        _visit(start, needs, done)
    return list(done)


def _visit(start: str, needs: Mapping[str, Sequence[str]], done: dict[str, None]) -> None:
    """Depth first, without recursion: a chain may be as long as a batch."""
    path: dict[str, None] = {}
    stack = [(start, iter(needs[start]))] if start not in done else []
    path.update(dict.fromkeys(name for name, _ in stack))
    while stack:
        name, rest = stack[-1]
        following = next((one for one in rest if one in needs and one not in done), None)
        if following is None:
            stack.pop()
            del path[name]
            done[name] = None
        elif following in path:
            names = list(path)
            raise Circle([*names[names.index(following) :], following])
        else:
            path[following] = None
            stack.append((following, iter(needs[following])))
