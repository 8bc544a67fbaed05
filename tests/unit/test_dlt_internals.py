"""The private names of dlt that hauser-dlt uses: dlt still has them, and they stand in one module."""

import ast
import inspect
import pkgutil
import re
import subprocess
import sys
import textwrap
from importlib import import_module
from pathlib import Path

import pytest

import hauser_dlt
from hauser_dlt.dlt_internals import INTERNALS, Internal

PACKAGE = Path(hauser_dlt.__file__).parent
MODULES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if "simulator" not in path.parts and path.name not in ("dlt_internals.py", "__main__.py")
]


def found(path):
    """Return what "module:Class.name" is; None if it is not there."""
    module, _, names = path.partition(":")
    value = import_module(module)
    for name in filter(None, names.split(".")):
        value = getattr(value, name, None)
    return value


def source_of(value):
    """Return the code as dlt's file has it, whatever has been put in its place since."""
    return ast.parse(textwrap.dedent(inspect.getsource(value)))


def sets(owner, name):
    """Tell whether `__init__` sets an attribute."""
    return any(
        isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr == name
        for node in ast.walk(source_of(owner.__init__))
    )


def parameters_of(owner, name):
    """Return the parameters of a method; None if there is none of this name."""
    for kind in owner.__mro__[:-1]:
        for node in source_of(kind).body[0].body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return tuple(argument.arg for argument in (*node.args.args, *node.args.kwonlyargs))
    return None


def is_there(internal: Internal) -> bool:
    owner = found(internal.owner)
    if owner is None:
        return False
    if internal.kind == "attribute":
        return sets(owner, internal.name)
    if internal.kind == "parameter":
        return internal.name in inspect.signature(owner).parameters
    if internal.kind == "method":
        return parameters_of(owner, internal.name) == internal.parameters
    inner = getattr(owner, internal.name, None)
    return callable(inner) and tuple(inspect.signature(inner).parameters) == internal.parameters


def is_used(internal: Internal) -> bool:
    """Tell whether dlt still calls what we override or replace; otherwise ours would stand there for nothing."""
    caller = found(internal.caller)
    caller = caller.fget if isinstance(caller, property) else caller
    return internal.name in getattr(getattr(caller, "__code__", None), "co_names", ())


def complaint(internal: Internal) -> str:
    return (
        f"dlt changed {internal.owner}.{internal.name}, which hauser-dlt uses for {internal.use}:"
        " see hauser_dlt/dlt_internals.py"
    )


@pytest.mark.parametrize("internal", INTERNALS, ids=lambda internal: internal.name)
def test_dlt_has_what_we_use(internal):
    assert is_there(internal), complaint(internal)
    assert not internal.caller or is_used(internal), complaint(internal)


@pytest.mark.parametrize(
    "changed",
    [
        Internal("dlt.extract.resource:DltResource", "_pipes", "", ""),
        Internal("dlt.extract.resource:Resource", "_pipe", "", ""),
        Internal("dlt:transformer", "_class", "", "", "parameter"),
        Internal("dlt.extract.storage", "new_load_id", "", "", "function"),
        Internal("dlt.extract.storage", "create_load_id", "", "", "function", ("schema",)),
        Internal("dlt.extract.resource:DltResource", "add_step", "", "", "method", ("self", "step")),
    ],
    ids=lambda internal: internal.name,
)
def test_what_dlt_renames_or_takes_away_is_noticed(changed):
    assert not is_there(changed)


def test_what_dlt_does_not_call_any_more_is_noticed():
    assert not is_used(Internal("", "_read_toml_file", "", "", caller="dlt.extract.storage:ExtractStorage.gone"))
    assert not is_used(Internal("", "_read_toml_file", "", "", caller="dlt.common.runtime.run_context:RunContext.name"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_other_module_uses_a_private_name_of_another(path):
    tree = ast.parse(path.read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    own = {node.name for node in ast.walk(tree) if isinstance(node, kinds)}
    own |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "setattr", "hasattr", "delattr"):
            used |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}

    own.add("_exit")  # of `os`, and public for all that
    assert not {name for name in used - own if re.match(r"_(?!_)", str(name))}
    assert "SLF001" not in path.read_text()


def classes():
    """Yield our classes that are made of classes of dlt's."""
    for module in pkgutil.walk_packages([str(PACKAGE)], "hauser_dlt."):
        if "simulator" in module.name or module.name.endswith("__main__"):
            continue
        for value in vars(import_module(module.name)).values():
            if inspect.isclass(value) and value.__module__ == module.name:
                yield value


def test_each_private_method_of_dlts_that_ours_override_is_declared():
    overridden = {
        (f"{ours.__module__}:{ours.__name__}", name)
        for ours in classes()
        for name in vars(ours)
        for theirs in ours.__mro__[1:]
        if re.match(r"_(?!_|abc_impl|is_protocol)", name)
        and name in vars(theirs)
        and theirs.__module__.split(".")[0] == "dlt"
    }
    assert overridden == {(internal.ours, internal.name) for internal in INTERNALS if internal.ours}


def test_each_has_a_reason_of_its_own():
    assert all(internal.use and internal.reason for internal in INTERNALS)
    assert len({internal.reason for internal in INTERNALS}) == len(INTERNALS)


def test_dlt_is_imported_late():
    code = "import sys, hauser_dlt.dlt_internals; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "dlt" not in out.split()
