"""Rooms stay liveable: sizes of files and functions, and the README's length."""

from __future__ import annotations

import ast
import statistics

from tests.architecture.sources import FunctionNode, ours, tiers

FILE_STOP, FILE_P90, FILE_MEDIAN = 400, 250, 90
FUNCTION_STOP, FUNCTION_P90, FUNCTION_MEDIAN = 50, 25, 9
TEST_FILE_STOP, TEST_FUNCTION_STOP = 400, 50
PARAMETERS_STOP = 6
NESTING_STOP = 4
NESTS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.AsyncFor, ast.AsyncWith)


def p90(values: list[int]) -> int:
    """Return the value nine in ten do not exceed."""
    return sorted(values)[int(0.9 * len(values))] if values else 0


def length(node: FunctionNode) -> int:
    """Return the lines of a function without its docstring."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def depth(node: ast.AST) -> int:
    """Return how deep the blocks below ``node`` nest; ``elif`` does not nest."""
    below = [
        depth(child) + (isinstance(child, NESTS) and not is_elif(node, child))
        for child in ast.iter_child_nodes(node)
    ]
    return max(below, default=0)


def is_elif(parent: ast.AST, child: ast.AST) -> bool:
    """Whether ``child`` is the lone ``if`` in its parent's ``else``."""
    return isinstance(parent, ast.If) and parent.orelse == [child]


def test_files_stay_short() -> None:
    sizes = {s.name: s.lines for s in ours()}
    long = {name: lines for name, lines in sizes.items() if lines > FILE_STOP}

    assert long == {}
    assert p90(list(sizes.values())) <= FILE_P90


def test_half_of_the_files_are_read_in_one_look() -> None:
    real = [source.lines for source in ours() if source.lines >= 3]

    assert statistics.median(real) <= FILE_MEDIAN


def test_functions_stay_short() -> None:
    sizes = {
        f"{s.name}:{node.lineno} {node.name}": length(node)
        for s in ours()
        for node in s.functions()
    }
    long = {name: lines for name, lines in sizes.items() if lines > FUNCTION_STOP}

    assert long == {}
    assert statistics.median(sizes.values()) <= FUNCTION_MEDIAN
    assert p90(list(sizes.values())) <= FUNCTION_P90


def test_tests_stay_readable() -> None:
    long_files = [s.name for s in tiers() if s.lines > TEST_FILE_STOP]
    long_functions = [
        f"{s.name}:{node.lineno} {node.name}"
        for s in tiers()
        for node in s.functions()
        if length(node) > TEST_FUNCTION_STOP
    ]

    assert long_files == []
    assert long_functions == []


def test_functions_take_few_parameters() -> None:
    greedy = []
    for source in ours():
        for node in source.functions():
            names = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
            positional = [name for name in names if name not in {"self", "cls"}]
            total = len(positional) + len(node.args.kwonlyargs)
            if total > PARAMETERS_STOP:
                greedy.append(f"{source.name}:{node.lineno} {node.name} {total}")

    assert greedy == []


def test_blocks_do_not_nest_deep() -> None:
    deep = [
        f"{s.name}:{node.lineno} {node.name}"
        for s in ours()
        for node in s.functions()
        if depth(node) >= NESTING_STOP
    ]

    assert deep == []
