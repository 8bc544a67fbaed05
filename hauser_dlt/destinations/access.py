"""What a destination's catalog says of our tables and of our rights, and whether that is enough to load. No I/O."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hauser_dlt.errors import LoadError

READ, ADD, DELETE, TRUNCATE = "SELECT", "INSERT", "DELETE", "TRUNCATE"
_WHY = {
    READ: "",
    ADD: "",
    DELETE: " (by which a run removes what interrupted loads left, and `reload` what it replaces)",
    TRUNCATE: " (the table is loaded anew each time)",
}


@dataclass(frozen=True, slots=True)
class Relation:
    """What there is of the name of a table.

    Attributes:
        kind: "table", or what it is in its place: "view", "index".
        takes_rows: rows can be added in the way in which we load.
        rights: what the loader's user may do with it.
        owned: whether it may add columns.
        needing: the columns that are NOT NULL and have no default that a load would give them.
        generated: the columns to which no value can be given.
        unique: unique index or constraint -> its columns.
        watchers: the triggers, rules, policies, and constraints that see each row.
        defaults: a load gives columns their defaults.
    """

    kind: str = "table"
    takes_rows: bool = True
    rights: frozenset[str] = frozenset((READ, ADD, DELETE, TRUNCATE))
    owned: bool = True
    needing: tuple[str, ...] = ()
    generated: tuple[str, ...] = ()
    unique: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    watchers: tuple[str, ...] = ()
    defaults: bool = True


@dataclass(frozen=True, slots=True)
class Access:
    """What a catalog says of a dataset, and of our tables in it.

    Attributes:
        dataset: its name.
        exists: there is such a dataset.
        reserved: it is one of the destination's own.
        read_only: nothing at all can be written.
        may_use, may_create: the rights on the dataset that exists.
        may_make: the right to make datasets.
        certain: False where rights may come in ways that the catalog does not tell.
        relations: table -> what there is of this name; without those that are not there.
    """

    dataset: str
    exists: bool = True
    reserved: bool = False
    read_only: bool = False
    may_use: bool = True
    may_create: bool = True
    may_make: bool = True
    certain: bool = True
    relations: Mapping[str, Relation] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Need:
    """What a run needs of one table.

    Attributes:
        lacks: the columns that must be added, should the table be there.
        ours: the columns, as the table spells them, to which values are given; none where dlt makes all of them.
        grows: whether columns may have to be added later.
    """

    rights: tuple[str, ...] = (READ, ADD)
    lacks: tuple[str, ...] = ()
    ours: frozenset[str] = frozenset()
    grows: bool = False


def obstacles(access: Access, needs: Mapping[str, Need]) -> Iterator[str]:
    """Yield what stands in the way of a load."""
    if access.reserved:
        yield f"dataset {access.dataset} is the database's own: choose another dataset_name"
    elif access.read_only:
        yield "the database is read-only (a standby, or default_transaction_read_only): name the one that takes writes"
    elif access.exists:
        yield from _in_dataset(access, needs)
    elif not access.may_make and access.certain:
        yield (
            f"there is no dataset {access.dataset}, and the loader's user may not make it: make it, or grant CREATE on"
            " the database"
        )


def _in_dataset(access: Access, needs: Mapping[str, Need]) -> Iterator[str]:
    if not access.may_use and access.certain:
        yield f"dataset {access.dataset}: the loader's user needs USAGE on it"
        return
    missing = [table for table in needs if table not in access.relations]
    if missing and not access.may_create and access.certain:
        yield f"dataset {access.dataset}: the loader's user needs CREATE on it, to make {', '.join(missing)}"
    for table, relation in access.relations.items():
        for obstacle in _of_table(relation, needs[table], certain=access.certain):
            yield f"table {table}: {obstacle}"


def _of_table(relation: Relation, need: Need, *, certain: bool) -> Iterator[str]:
    if not relation.takes_rows:
        article = "an" if relation.kind[0] in "aeiou" else "a"
        yield f"it is {article} {relation.kind}, which takes no rows: rename it, or load into another table"
        return
    lacking = [right for right in need.rights if right not in relation.rights]
    if lacking and certain:
        yield f"the loader's user needs {', '.join(right + _WHY[right] for right in lacking)}"
    if need.lacks and not relation.owned and certain:
        yield (
            f"the columns {', '.join(need.lacks)} must be added, for which the loader's user must be owner: have the"
            " owner add them, or change the owner"
        )
    if need.ours and (needing := [name for name in relation.needing if name not in need.ours]):
        because = " without a default: give one, or" if relation.defaults else ", and a load gives it NULL:"
        yield f"{_columns(needing)} NOT NULL{because} allow NULL"
    if generated := [name for name in relation.generated if name in need.ours]:
        yield f"{_columns(generated)} generated, and cannot take FullStory's values: rename, or load into another table"


def remarks(access: Access, table: str, need: Need) -> Iterator[str]:
    """Yield what is worth knowing of a table that can be loaded."""
    relation = access.relations.get(table)
    if relation is None:
        return
    if not access.certain and (not relation.owned or set(need.rights) - relation.rights):
        yield "whether the loader's roles give it all rights was not told"
    if need.grows and not relation.owned and access.certain:
        yield 'new fields cannot become columns, for which the loader must be the owner (new_fields = "custom_vars")'
    if strict := [name for name in relation.needing if name in need.ours]:
        yield f"{_columns(strict)} NOT NULL: rows without a value are refused"
    for name, columns in relation.unique.items():
        if need.ours.issuperset(columns):
            yield f"{name} allows no two rows with equal {', '.join(columns)}, and FullStory's may be"
    if relation.watchers:
        yield f"{', '.join(relation.watchers)} may alter or refuse rows, and a load fails by that"


def refuse(found: Iterable[str]) -> None:
    """Make sure that nothing is in the way.

    Raises:
        LoadError: something is.
    """
    if text := "; ".join(found):
        raise LoadError(f"the destination cannot be loaded: {text}")


def _columns(names: list[str]) -> str:
    return f"column {names[0]} is" if len(names) == 1 else f"columns {', '.join(names)} are"
