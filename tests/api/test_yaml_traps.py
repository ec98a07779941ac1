"""Text to nodes: scalars mean what they mean to Kubernetes, hostile input is refused in time."""

import itertools
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.api import nodes
from minikubelet.api.nodes import MappingNode, Positions, ScalarNode, SyntaxFault


def value_of(text):
    (root,) = nodes.parse(f"a: {text}\n")
    (_, value), *_ = root.pairs
    return nodes.resolve(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("22:22", "22:22"),
        ("1:30:00", "1:30:00"),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("0400", 256),
        ("0o400", 256),
        ("0x1F", 31),
        ("0b101", 5),
        ("-0x10", -16),
        ("08", 8.0),
        ("1_000", 1000),
        ("+5", 5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("1.2.3", "1.2.3"),
        ("0x", "0x"),
        ("yes", True),
        ("On", True),
        ("y", True),
        ("N", False),
        ("off", False),
        ("tRuE", "tRuE"),
        ("~", None),
        ("", None),
        ("Null", None),
        ("nULL", "nULL"),
        ("'yes'", "yes"),
        ('"0400"', "0400"),
        ("!!str 0400", "0400"),
        ('!!int "7"', 7),
        ("!!binary aGk=", "hi"),
        ("!custom x", "x"),
        ("-.inf", -math.inf),
        ("|\n  8080\n", "8080\n"),
        ("9223372036854775808", 9223372036854775808),
        ("=", "="),
    ],
)
def test_plain_scalars_resolve_as_goyaml_v2_resolves_them(text, value):
    assert value_of(text) == value
    assert type(value_of(text)) is type(value)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("on", "true"),
        ("y", "true"),
        ("no", "false"),
        ("0400", "256"),
        ("1.0", "1"),
        ("1.5", "1.5"),
        ("'on'", "on"),
    ],
)
def test_keys_become_strings_as_in_json(key, text):
    (root,) = nodes.parse(f"{key}: x")

    assert nodes.key_text(root.pairs[0][0]) == text


def test_kyaml_with_comments_and_trailing_commas_is_read():
    text = '---\n{\n  # comment\n  kind: "Pod", # more\n  list: [1, 2,],\n}\n'

    (root,) = nodes.parse(text)

    assert [nodes.key_text(key) for key, _ in root.pairs] == ["kind", "list"]


def test_json_may_escape_astral_characters_in_two_halves():
    (root,) = nodes.parse('{"a": "\\ud83d\\ude00", "b": "\\\\ud83d"}')

    assert [nodes.resolve(value) for _, value in root.pairs] == ["\U0001f600", "\\ud83d"]


@pytest.mark.parametrize("text", ["", "---\n", "# only a comment\n", "---\n---\n# x\n", "null\n"])
def test_documents_without_content_do_not_count(text):
    assert list(nodes.parse(text)) == []


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: 1\nb: [1,\nc: 2\n", 4, 1, "flow sequence from line 2 on"),
        ("a:\n\tb: 1\n", 2, 1, "tab"),
        ("a: *nobody\n", 1, 4, "*nobody"),
        ("a: &x\n  b: *x\n", 2, 6, "contains itself"),
        ("a: &x [*x]\n", 1, 8, "contains itself"),
        ("a: 'open\n", 2, 1, "quoted scalar"),
        ("ok: 1\nbad: \x07\n", 2, 6, "control characters"),
        ("a: b: c\n", 1, 5, "mapping values"),
        ("[" * 2000, 1, 101, "deeper than 100"),
        ("- " * 2000 + "x", 1, 201, "deeper than 100"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_place(text, line, column, words):
    fault, *_ = nodes.parse(text)

    assert isinstance(fault, SyntaxFault)
    assert (fault.line, fault.column) == (line, column)
    assert words in fault.message


def test_a_document_after_a_broken_one_is_still_read():
    broken, sound, again = nodes.parse("a: [1\n---\nb: 2\n---\nc: }\n")

    assert isinstance(broken, SyntaxFault)
    assert isinstance(sound, MappingNode)
    assert sound.line == 3
    assert isinstance(again, SyntaxFault)
    assert again.line == 5


def test_aliases_that_multiply_are_bounded():
    levels = "abcdefgh"
    text = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for below, name in itertools.pairwise(levels):
        text += f"{name}: &{name} [{', '.join([f'*{below}'] * 9)}]\n"

    (fault,) = nodes.parse(text)

    assert isinstance(fault, SyntaxFault)
    assert "aliases expand" in fault.message


@pytest.mark.parametrize("link", ["[*a{}]", "{{<<: *a{}}}", "{{x: *a{}}}"])
def test_aliases_that_nest_are_bounded(link):
    text = "a0: &a0 {}\n" + "".join(f"a{i}: &a{i} {link.format(i - 1)}\n" for i in range(1, 3000))

    (fault,) = nodes.parse(text)

    assert isinstance(fault, SyntaxFault)
    assert fault.line == 101


def test_ordinary_aliases_are_not_bounded():
    text = "env: &env [{name: A, value: b}]\ncopies:\n" + "- *env\n" * 500

    (root,) = nodes.parse(text)

    assert isinstance(root, MappingNode)


def test_positions_are_found_through_lists_brackets_and_merge_keys():
    text = "base: &b\n  x: 1\nspec:\n  list:\n  - name: n\n    <<: *b\nlabels:\n  a.b/c: d\n"
    (root,) = nodes.parse(text)
    positions = Positions(root)

    assert positions["spec.list[0].name"] == (5, 11)
    assert positions["spec.list[0].x"] == (2, 6)
    assert positions["labels[a.b/c]"] == (8, 10)
    assert positions["spec.list"] == (4, 3)
    assert "spec.list[1]" not in positions
    assert "spec.name" not in positions
    assert len(positions) == len(list(positions))


@given(st.text(max_size=200))
def test_no_text_brings_a_traceback(text):
    for root in nodes.parse(text):
        assert isinstance(root, (MappingNode, nodes.SequenceNode, ScalarNode, SyntaxFault))


@given(st.text(alphabet="+-.0123456789_xobeEyYnNoO~:", max_size=12))
def test_every_plain_text_resolves(text):
    assert isinstance(nodes.resolve_plain(text), (str, int, float, bool, type(None)))


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ('{"a": 1}\n{"b": 2}\n', [("a", 1, 2), ("b", 2, 2)]),
        ('\n{"a": 1}\n\n  {\n   "b": 2}\n{"c": 3}', [("a", 2, 2), ("b", 5, 4), ("c", 6, 2)]),
        (r'{"a": "\ud83d\ude00"}' + '\n{"b": 2}', [("a", 1, 2), ("b", 2, 2)]),
        ('{"a": 1}{"b": 2}', [("a", 1, 2), ("b", 1, 2)]),  # counted from the object's own beginning
        ('{"a": 1}\n{"b": 2}\n---\nc: 3\n---\nd: 4\n', [("a", 1, 2), ("b", 2, 2), ("c", 4, 1), ("d", 6, 1)]),
    ],
)
def test_json_objects_may_stand_one_after_another(text, places):
    """As `kubectl get -o json | jq .items[]` has them, and `kubectl apply` takes them."""
    keys = [root.pairs[0][0] for root in nodes.parse(text)]

    assert [(key.text, key.line, key.column) for key in keys] == places


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"a": 1}\n{"b": ]\n', 2),
        ('{"a": 1}\n\n{"b": 1}\n{"c": ]', 4),
        ("{a: 1}\n{b: 2}\n", 2),  # no JSON, and no YAML without `---`
    ],
)
def test_a_fault_after_json_objects_is_told_in_its_line(text, line):
    *_, fault = nodes.parse(text)

    assert isinstance(fault, SyntaxFault)
    assert fault.line == line


@pytest.mark.parametrize(
    "text",
    [
        "a: [1, 'b', {c: !!str 2}]\nd: &x |\n  text\ne: *x\n---\nf: ''\n",
        '{"a": 1}\n{"b": 2}\n',
    ],
)
def test_the_parser_in_python_gives_the_same_tree(monkeypatch, text):
    fast = [repr_of(root) for root in nodes.parse(text)]
    monkeypatch.setitem(sys.modules, "yaml._yaml", None)

    assert [repr_of(root) for root in nodes.parse(text)] == fast


def repr_of(node):
    if isinstance(node, ScalarNode):
        return nodes.resolve(node), node.line, node.column
    if isinstance(node, MappingNode):
        return [(repr_of(key), repr_of(value)) for key, value in node.pairs]
    return [repr_of(item) for item in node.items]
