"""Nothing heavy is loaded until it is asked for, no module needs itself, and one place asks objects what they have."""

import ast
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

import bodyorder
from bodyorder.sources.protocol import METHODS, REQUIRED, Capabilities

HEAVY = ("torch", "pyscf", "matplotlib", "metatrain", "metatomic", "chemiscope", "block2", "distributed", "mace")

SOURCE = Path(bodyorder.__file__).parent
#: The module that may ask an object what it has.
ADAPTER = "bodyorder.sources.adapter"


def loaded_after(statement):
    code = f"import sys\n{statement}\nprint(' '.join(name for name in {HEAVY!r} if name in sys.modules))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    "statement",
    [
        "import bodyorder",
        "import bodyorder; bodyorder.decompose; bodyorder.load_source; bodyorder.Store; bodyorder.check_source",
        "import bodyorder.sources, bodyorder.engine, bodyorder.structures, bodyorder.subsets, bodyorder.testing",
        "import bodyorder.analysis, bodyorder.training, bodyorder.config",
        "import bodyorder; bodyorder.decompose([__import__('ase').Atoms('H2', [[0, 0, 0], [1, 0, 0]])], 'analytic:pair')",
    ],
)
def test_imports_are_light(statement):
    assert loaded_after(statement) == []


def test_help_is_light():
    statement = "from bodyorder.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint(end='\\n')"
    assert [name for name in loaded_after(statement) if name in HEAVY] == []


def test_public_names_are_there():
    for name in bodyorder.__all__:
        assert getattr(bodyorder, name).__doc__
    assert sorted(bodyorder.__all__) == bodyorder.__all__
    assert set(bodyorder.__all__) == set(bodyorder._HOMES)
    with pytest.raises(AttributeError, match="no attribute 'decomposse'"):
        bodyorder.decomposse  # noqa: B018


def modules():
    """Names of all modules and their text."""
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), ast.parse(path.read_text())


def is_for_types(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imported(tree, known):
    """Modules that a module imports, those among them that a function imports when it is called."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if is_for_types(node):
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in known else node.module


def import_graph(texts):
    graph = nx.DiGraph()
    for name, tree in texts.items():
        graph.add_edges_from((name, other) for other in imported(tree, texts) if other in texts)
    return graph


def test_no_module_imports_itself_by_way_of_others():
    graph = import_graph(dict(modules()))
    assert len(graph) > 150
    assert graph.has_edge("bodyorder.sources.registry", "bodyorder.sources.ase.calculator"), (
        "imports in functions count"
    )
    circles = [sorted(component) for component in nx.strongly_connected_components(graph) if len(component) > 1]
    assert circles == []
    assert list(nx.selfloop_edges(graph)) == []


def test_a_circle_is_seen():
    texts = {
        "a": ast.parse("def f():\n    import b"),
        "b": ast.parse("from typing import TYPE_CHECKING\nfrom c import x\nif TYPE_CHECKING:\n    import d"),
        "c": ast.parse("from a import f"),
        "d": ast.parse("import b"),
    }
    circles = [sorted(component) for component in nx.strongly_connected_components(import_graph(texts))]
    assert sorted(circles) == [["a", "b", "c"], ["d"]]


def asked_by_name(tree, names):
    """Lines with getattr or hasattr of one of some names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr") and len(node.args) > 1:
            name = node.args[1]
            if isinstance(name, ast.Constant) and name.value in names:
                yield f"line {node.lineno}: {ast.unparse(node)}"


def test_only_the_adapter_asks_an_object_what_it_has():
    names = {*REQUIRED, *METHODS.values(), *Capabilities.__dataclass_fields__, "capabilities"}
    assert list(asked_by_name(ast.parse("x = getattr(source, 'batch_size', 3)"), names))
    found = {name: list(asked_by_name(tree, names)) for name, tree in modules() if name != ADAPTER}
    assert {name: lines for name, lines in found.items() if lines} == {}
