# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The TOML reader beside Python's own, on documents after the specification of TOML 1.0."""

from __future__ import annotations

import json
import sys

import pytest
import tomllib

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import toml
from ansible_collections.kubestead.cluster.plugins.module_utils.core import mappings
from ansible_collections.kubestead.cluster.tests.unit.fuzz.linear import assert_linear
from ansible_collections.kubestead.cluster.tests.unit.fuzz.toml_values import same

VALID = [
    # comments, lines and space
    "",
    "\n\n",
    " \t ",
    "# only a comment",
    "# a comment\n# é \U0001f600\ta tab\n",
    "a = 1 # comment",
    "a=1",
    " \ta\t=\t1\t",
    "a = 1\r\nb = 2\r\n",
    "a = 1\n\n\n[b]\n\n",
    # keys
    "bare-key_1 = 1",
    "1234 = 1",
    "- = 1",
    "_ = 1",
    "-- = 1",
    '"" = 1',
    "'' = 1",
    '"a b" = 1',
    "'a\"b' = 1",
    '"\\u00e9\\n" = 1',
    '"a.b" = 1\na.b = 2',
    "é = 1".replace("é", '"é"'),
    "a.b.c = 1",
    "a . b . c = 1",
    "a.'b'.\"c\" = 1",
    "3.14159 = 1",
    "a.b = 1\na.c = 2",
    "a.b = 1\nc = 1\na.d = 2",
    "true = 1\ninf = 2\n2026-01-01 = 3",
    "a = 1\nA = 2",
    # strings
    'a = ""',
    "a = ''",
    'a = "x"',
    'a = "\t"',
    'a = "\\b\\t\\n\\f\\r\\"\\\\"',
    'a = "\\u0000\\u00e9\\uFFFF\\U0001F600\\U0010FFFF"',
    'a = "# no comment"',
    'a = "\x80\x9f\u2028\ufeff"',
    "a = 'C:\\x\\u'",
    "a = '\t\"'",
    'a = """"""',
    'a = """\n"""',
    'a = """\n\n"""',
    'a = """one\ntwo"""',
    'a = """\none"""',
    'a = """\r\none\r\ntwo"""',
    'a = """a""b"""',
    'a = """""a"""',
    'a = """a"""""',
    'a = """a""""',
    'a = """a\\"""b"""',
    'a = """a\\\n   b"""',
    'a = """a\\ \t\n\n\n   b"""',
    'a = """a\\\r\n b"""',
    'a = """\\\n"""',
    'a = """\t\\t"""',
    "a = ''''''",
    "a = '''\na'''",
    "a = '''a''b'''",
    "a = '''a'''''",
    "a = ''''a''''",
    "a = '''\\ \\n\n'''",
    # integers
    "a = 0",
    "a = +0",
    "a = -0",
    "a = -17",
    "a = +99",
    "a = 1_000_000",
    "a = 1_2_3",
    "a = 9223372036854775807",
    "a = -9223372036854775808",
    "a = 123456789012345678901234567890",
    "a = 0xDEADBEEF\nb = 0xdead_beef\nc = 0x00",
    "a = 0o01234567\nb = 0o7_5",
    "a = 0b11010110\nb = 0b1_0",
    "a = " + "1" * 4300,
    "a = -" + "1_" * 4299 + "1",
    "a = 0x" + "f" * 5000,
    # floats
    "a = 1.0",
    "a = +1.0",
    "a = -0.01",
    "a = -0.0",
    "a = 5e+22",
    "a = 1e06",
    "a = -2E-2",
    "a = 6.626e-34",
    "a = 1e1_000",
    "a = 224_617.445_991_228",
    "a = 0e0",
    "a = 1e400",
    "a = inf\nb = +inf\nc = -inf",
    "a = nan\nb = +nan\nc = -nan",
    # booleans
    "a = true\nb = false",
    # dates and times
    "a = 1979-05-27T07:32:00Z",
    "a = 1979-05-27t07:32:00z",
    "a = 1979-05-27 07:32:00Z",
    "a = 1979-05-27T00:32:00-07:00",
    "a = 1979-05-27T00:32:00.999999+23:59",
    "a = 1979-05-27T07:32:00",
    "a = 1979-05-27T00:32:00.5",
    "a = 1979-05-27T00:32:00.123456789",
    "a = 1979-05-27",
    "a = 1979-05-27 # comment",
    "a = 1979-05-27 ",
    "a = 2000-02-29",
    "a = 0001-01-01",
    "a = 9999-12-31T23:59:59Z",
    "a = 07:32:00",
    "a = 00:32:00.999999",
    "a = [1979-05-27, 07:32:00]",
    # arrays
    "a = []",
    "a = [ ]",
    "a = [\n]",
    "a = [1, 2, 3]",
    "a = [1, 2, 3,]",
    "a = [[1, 2], ['a', \"b\"]]",
    "a = [1, 'a', {b = 2}, [], 1.5, true]",
    "a = [ # one\n 1, # two\n\n 2 # three\n , # four\n]",
    "a = [\r\n 1,\r\n]",
    "a = [{b = 1}, {b = 2}]",
    "a = [{}]",
    "a = [[[[[[[[[[]]]]]]]]]]",
    # inline tables
    "a = {}",
    "a = { }",
    "a = {b = 1}",
    "a = { b = 1 , c = 2 }",
    "a = {b.c = 1, b.d = 2}",
    "a = {b = {c = {d = 1}}}",
    "a = {b = [\n1,\n2\n]}",
    "a = {'b c' = 1, \"\" = 2}",
    'a = {b = """\nx\n"""}',
    # tables
    "[a]",
    "[a]\n[b]",
    "[ a . b ]",
    "[\"a.b\".'c']",
    "[a.b.c]\n[a]",
    "[a.b]\nx = 1\n[a]\ny = 2",
    "[a] # comment\nb = 1",
    "[a]\n[a.b]\n[a.c]",
    "[a]\nb.c = 1\n[a.d]",
    "[a.b.c]\nx = 1\n[a.b]\ny = 1\n[a]\nz = 1",
    "[x.y.z.w]\n[x]",
    "[fruit]\napple.color = 1\napple.taste.sweet = true\n[fruit.pear]",
    "a.b = 1\n[c]\na.b = 1",
    "['']\n[''.'']",
    # arrays of tables
    "[[a]]",
    "[[a]]\n[[a]]",
    "[[a]]\nx = 1\n[[a]]\nx = 2",
    "[[a]]\n[a.b]\n[[a]]\n[a.b]",
    "[[a]]\n[[a.b]]\n[[a.b]]\n[[a]]\n[[a.b]]",
    "[[a]]\nb.c = 1\n[[a]]\nb.c = 2",
    "[[a.b]]\n[a]\nx = 1",
    "[[a]]\n[a.b.c]\nx = 1",
    "[a]\n[[a.b]]\n[a.b.c]\n[[a.b]]\n[a.b.c]",
    "[[ a ]]",
    "[[a]]\n[b]\n[[a]]",
]

INVALID = [
    # structure
    "a",
    "a =",
    "= 1",
    "a = 1 b = 2",
    "a = 1,",
    "a 1",
    "a == 1",
    "a\n= 1",
    "a =\n1",
    "\ufeffa = 1",
    "a = 1\rb = 2",
    "\r",
    "# \x00",
    "# \x7f",
    "# a\rb",
    "# \x1f",
    "\x0b",
    "a = 1 \x0c",
    # keys
    "a b = 1",
    "a. = 1",
    ".a = 1",
    "a..b = 1",
    "é = 1",
    "a# = 1",
    "a+b = 1",
    '"""a""" = 1',
    "'''a''' = 1",
    '"a\nb" = 1',
    "'a\nb' = 1",
    '"\\q" = 1',
    '"a = 1',
    "[a] = 1",
    "a = 1\na = 2",
    "a = 1\n'a' = 2",
    "a = 1\na.b = 2",
    "a.b = 1\na = 2",
    "a.b = 1\na.b.c = 2",
    "a.b.c = 1\na.b = 2",
    # strings
    'a = "',
    'a = "x',
    'a = "x\n"',
    "a = 'x\n'",
    "a = 'x",
    'a = "\\"',
    'a = "\\x41"',
    'a = "\\e"',
    'a = "\\a"',
    'a = "\\/"',
    'a = "\\ "',
    'a = "\\u12"',
    'a = "\\u123g"',
    'a = "\\u 123"',
    'a = "\\u+123"',
    'a = "\\u1_23"',
    'a = "\\ud800"',
    'a = "\\uDFFF"',
    'a = "\\U00110000"',
    'a = "\\UFFFFFFFF"',
    'a = "\\U0000000"',
    'a = "\x00"',
    'a = "\x1f"',
    'a = "\x7f"',
    'a = "\r"',
    "a = '\x01'",
    'a = """',
    'a = """a',
    'a = """a""',
    'a = """a""""""',
    'a = """\\',
    'a = """a\\ b"""',
    'a = """a\\ ',
    'a = """\x00"""',
    'a = """\r"""',
    'a = """\\q"""',
    "a = '''",
    "a = '''a''",
    "a = '''a''''''",
    "a = '''\x08'''",
    "a = x",
    "a = yes",
    # numbers
    "a = 01",
    "a = 00",
    "a = -01",
    "a = +01",
    "a = 1_",
    "a = _1",
    "a = 1__0",
    "a = 0_1",
    "a = 0x",
    "a = 0x_1",
    "a = 0x1_",
    "a = 0x1__1",
    "a = 0X1",
    "a = 0xg",
    "a = +0x1",
    "a = -0b1",
    "a = 0o8",
    "a = 0b2",
    "a = 0O7",
    "a = 0B1",
    "a = ++1",
    "a = - 1",
    "a = 1a",
    "a = " + "1" * 4301,
    "a = ٣",
    "a = 1.",
    "a = .5",
    "a = +.5",
    "a = 1.e5",
    "a = 1._5",
    "a = 1_.5",
    "a = 1.5_",
    "a = 1e",
    "a = 1e+",
    "a = 1e_5",
    "a = 1e5.5",
    "a = 01.5",
    "a = 1.2.3",
    "a = Inf",
    "a = infinity",
    "a = NaN",
    "a = ++inf",
    "a = i",
    # booleans
    "a = True",
    "a = truer",
    "a = fals",
    "a = falsey",
    # dates and times
    "a = 1979-5-27",
    "a = 1979-13-01",
    "a = 1979-00-01",
    "a = 1979-01-00",
    "a = 1979-02-30",
    "a = 2001-02-29",
    "a = 0000-01-01",
    "a = 1979-05-32",
    "a = 1979-05-27T",
    "a = 1979-05-27T07:32",
    "a = 1979-05-27T07:32Z",
    "a = 1979-05-27  07:32:00",
    "a = 1979-05-27T24:00:00",
    "a = 1979-05-27T07:60:00",
    "a = 1979-05-27T07:32:60",
    "a = 1979-05-27T07:32:00.",
    "a = 1979-05-27T07:32:00+25:00",
    "a = 1979-05-27T07:32:00+0700",
    "a = 1979-05-27T07:32:00+07",
    "a = 1979-05-27Z",
    "a = 07:32",
    "a = 7:32:00",
    "a = 07:32:00Z",
    "a = 24:00:00",
    "a = 1979-05-27_07:32:00",
    # arrays
    "a = [",
    "a = ]",
    "a = [1",
    "a = [1,",
    "a = [1 2]",
    "a = [,]",
    "a = [,1]",
    "a = [1,,2]",
    "a = [1]]",
    "a = [1}",
    "a = [1 # ]",
    "a = [b = 1]",
    # inline tables
    "a = {",
    "a = }",
    "a = {b}",
    "a = {b = 1",
    "a = {b = 1,}",
    "a = {,}",
    "a = {b = 1 c = 2}",
    "a = {b = 1,, c = 2}",
    "a = {\n}",
    "a = {b = 1,\n c = 2}",
    "a = {b = 1 # x\n}",
    "a = {b = 1, b = 2}",
    "a = {b = 1, b.c = 2}",
    "a = {b.c = 1, b = 2}",
    "a = {b = {}, b.c = 1}",
    "a = {b.c = {}, b.c.d = 1}",
    "a = {b = [], b.c = 1}",
    "a = {b = 1}\na.c = 2",
    "a = {b = 1}\n[a]",
    "a = {b = 1}\n[a.c]",
    "a = {b = {}}\n[a.b.c]",
    "a = {}\n[[a]]",
    "a = {}\n[[a.b]]",
    "a.b = {}\na.b.c = 1",
    "[a]\nb = {c = 1}\n[a.b]",
    "[a]\nb = {c = 1}\nb.d = 2",
    # tables
    "[",
    "[]",
    "[a",
    "[a\n]",
    "[a]]",
    "[a] b",
    "[a] b = 1",
    "[.a]",
    "[a.]",
    "[a..b]",
    "[a b]",
    "[a]\n[a]",
    "[a]\n['a']",
    "[a.b]\n[a.b]",
    "[a.b]\n[a]\n[a]",
    "a = 1\n[a]",
    "a = 1\n[a.b]",
    "[a]\nb = 1\n[a.b]",
    "[a]\nb = 1\n[a.b.c]",
    "a.b = 1\n[a]",
    "a.b.c = 1\n[a.b]",
    "a.b = 1\n[a.b]",
    "[a]\nb.c = 1\n[a.b]",
    "[a.b]\n[a]\nb.c = 1",
    "[a.b.c]\n[a]\nb.c.d = 1",
    "a = []\n[a]",
    "a = []\n[a.b]",
    "a = []\n[[a]]",
    "a = [{}]\n[a.b]",
    "a = [{}]\n[[a.b]]",
    # arrays of tables
    "[[",
    "[[]]",
    "[[a]",
    "[[a] ]",
    "[ [a]]",
    "[[a]]]",
    "[[a.]]",
    "[a]\n[[a]]",
    "[[a]]\n[a]",
    "[[a.b]]\n[a.b]",
    "a = 1\n[[a]]",
    "a = 1\n[[a.b]]",
    "a.b = 1\n[[a]]",
    "[[a]]\nb = 1\n[a.b]",
    "[[a]]\nb = 1\n[[a.b]]",
    "[[a]]\n[a.b]\n[[a.b]]",
    "[[a]]\n[a.b]\n[a.b]",
    "[[a]]\na.b = 1\n[a.a]",
]


@pytest.mark.parametrize("text", VALID)
def test_a_valid_document_has_the_value_python_gives_it(text: str) -> None:
    expected = tomllib.loads(text)
    value = toml.loads(text)
    assert same(value) == same(expected)
    assert same(tomllib.loads(toml.dumps(value))) == same(expected)


@pytest.mark.parametrize("text", INVALID)
def test_an_invalid_document_is_refused(text: str) -> None:
    # An older Python has no tomllib; what stands in for it may read a newer TOML.
    if sys.version_info >= (3, 11):
        with pytest.raises(ValueError):
            tomllib.loads(text)
    with pytest.raises(toml.TomlError) as caught:
        toml.loads(text)
    assert 1 <= caught.value.line <= text.count("\n") + 1


def test_a_date_stays_text_and_is_written_as_a_date() -> None:
    value = toml.loads("a = 1979-05-27 07:32:00Z")["a"]
    # What is observed of a node travels as JSON.
    assert json.loads(json.dumps(value)) == value == "1979-05-27 07:32:00Z"
    assert toml.dumps({"a": value, "b": "07:32:00"}) == 'a = 1979-05-27 07:32:00Z\nb = "07:32:00"\n'


def test_an_error_does_not_show_the_value() -> None:
    with pytest.raises(toml.TomlError) as caught:
        toml.loads("password = hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "[" * 100_000 + "]" * 100_000,
        "a = " + "{a=" * 100_000,
        "a = " + "[{a=" * 100_000,
        ".".join("a" * 100_000) + " = 1",
        "[" + ".".join("a" * 100_000) + "]",
        "[[" + ".".join("a" * 100_000) + "]]",
        "[a.b]\n" + ".".join("a" * 99) + " = 1",
        "a = {" + ".".join("a" * 100) + " = 1}",
        "a.b = " + "[" * 100 + "]" * 100,
    ],
    ids=lambda text: text[:12],
)
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(toml.TomlError, match="nested deeper than 100 levels"):
        toml.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100 + "]" * 100,
        ".".join("a" * 100) + " = 1",
        "[" + ".".join("a" * 50) + "]\n" + ".".join("b" * 50) + "=1",
    ],
    ids=lambda text: text[:12],
)
def test_nesting_up_to_the_limit_is_read_written_and_merged(text: str) -> None:
    value = toml.loads(text)
    assert same(value) == same(tomllib.loads(text))
    assert tomllib.loads(toml.dumps(mappings.merged(value, value))) == value


LARGE = {
    "basic string": lambda n: 'a = "' + "x" * n + '"',
    "escapes": lambda n: 'a = "' + "\\n" * n + '"',
    "string without an end": lambda n: 'a = "' + "x" * n,
    "quotes in lines": lambda n: "a = '''" + "''x" * n + "'''",
    "double quotes in lines": lambda n: 'a = """' + '""x' * n + '"""',
    "continuations": lambda n: 'a = """' + "\\\n   " * n + '"""',
    "comment": lambda n: "#" * n + "\x00",
    "spaces": lambda n: "a = " + " " * n,
    "lines": lambda n: "\n \t" * n + "=",
    "array": lambda n: "a = [" + "1," * n + "]",
    "comments in an array": lambda n: "a = [" + "#\n" * n,
    "keys": lambda n: "".join(f"k{i} = 1\n" for i in range(n)),
    "dotted keys": lambda n: "".join(f"a.b.k{i} = 1\n" for i in range(n)),
    "tables": lambda n: "".join(f"[a.t{i}]\nx.y = 1\n" for i in range(n)),
    "arrays of tables": lambda n: "[[a]]\nb.c = 1\n[a.d]\n" * n,
    "inline table": lambda n: "a = {" + ",".join(f"b.k{i} = 1" for i in range(n)) + "}",
    "digits": lambda n: "a = 1" + "_1" * n,
    "fraction": lambda n: "a = 1." + "1" * n + "_",
    "hexadecimal": lambda n: "a = 0x" + "f" * n,
    "fraction of a second": lambda n: "a = 07:32:00." + "1" * n + "x",
    "bare key": lambda n: "a" * n,
    "carriage returns": lambda n: "\r\n" * n + "\r",
}


@pytest.mark.parametrize("name", LARGE)
def test_reading_takes_linear_time(name: str) -> None:
    assert_linear(toml.loads, LARGE[name])


def test_writing_takes_linear_time() -> None:
    def make(count: int) -> dict[str, object]:
        return {"a": {f"t{i}": {"x": [1, "\n"], "y": {"z": True}} for i in range(count)}, "s": "\x00" * count}

    assert_linear(toml.dumps, make)
