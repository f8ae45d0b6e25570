from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dynvision.config.yaml_text import building, parsing
from dynvision.config.yaml_text.lists import shorten_lists
from dynvision.config.yaml_text.parsing import parse_yaml
from dynvision.errors import ConfigError


@pytest.fixture(params=["libyaml", "pure"])
def loader(request, monkeypatch):
    """Parse with libyaml, and without."""
    if request.param == "pure":
        monkeypatch.setattr(building, "_LOADER", yaml.SafeLoader)
    elif not yaml.__with_libyaml__:
        pytest.skip("PyYAML was built without libyaml")


SCALARS = {
    **{"true": True, "True": True, "TRUE": True, "false": False, "null": None, "Null": None, "~": None},
    **{"0": 0, "-7": -7, "+5": 5, "0o17": 15, "0xfF": 255, "9223372036854775807": 2**63 - 1},
    **{"0.5": 0.5, ".5": 0.5, "5.": 5.0, "1e3": 1000.0, "-1.5E-3": -0.0015, "0e1": 0.0},
    **{
        text: text
        for text in ("yes", "no", "on", "off", "y", "tRue", "1:30", "1_000", "0b11", "2020-01-01", "=", "NaN")
    },
    **{text: text for text in ("0o8", "1e", "07abc", "0x", "1.2.3", "+", ".", "inf")},
}


@pytest.mark.parametrize("text", SCALARS)
def test_plain_scalars_are_those_of_yaml_1_2(text, loader):
    (value,) = parse_yaml(f"[{text}]", "file.yaml")
    assert value == SCALARS[text]
    assert type(value) is type(SCALARS[text])
    assert parse_yaml(f"['{text}']", "file.yaml") == [text]


LEADING_ZERO = {
    "010": "YAML 1.1 reads 8, YAML 1.2 reads 10. Write 10, or '010' in quotes",
    "-010": "YAML 1.1 reads -8, YAML 1.2 reads -10. Write -10,",
    "08": "YAML 1.1 reads the text '08', YAML 1.2 reads 8. Write 8,",
    "007": "Write 7, or '007' in quotes",
    "00": "Write 0,",
    "010.5": "Write 10.5,",
    "00.5": "Write 0.5,",
}


@pytest.mark.parametrize("text", LEADING_ZERO)
@pytest.mark.parametrize("place", ["a: {}", "{}: a", "a: [{}]", "a: !!int {}"])
def test_number_that_begins_with_a_zero_is_refused(text, place, loader):
    with pytest.raises(ConfigError, match=re.escape(LEADING_ZERO[text])) as caught:
        parse_yaml("# first\n" + place.format(text), "file.yaml")
    assert str(caught.value).startswith("file.yaml, line 2, column ")


REFUSED = {
    "a: .inf": "line 1, column 4: a: .inf is no finite number",
    "a: {b: [1, .nan]}": "line 1, column 12: a.b: .nan is no finite number",
    "a: 1e999": "line 1, column 4: a: 1e999 is too large",
    f"a: {2**70}": "has more than 64 bits",
    "a: " + "9" * 5000: "(5000 digits) has more than 64 bits",
    "a: 1\na: 2": "line 2, column 1: not valid YAML: the key 'a' is given twice",
    "1: a\n'1': b": "line 2, column 1: not valid YAML: the key '1' is given twice",
    "{true: 1, true: 2}": "the key 'True' is given twice",
    "0x10: a": "the key 0x10 is read as the number 16: write '0x10' in quotes",
    "1.50: a": "the key 1.50 is read as the number 1.5: write '1.50' in quotes",
    "? [a]\n: 1": "a list cannot be a key",
    "? {a: 1}\n: 1": "a mapping cannot be a key",
    "a: &a [1]\n*a : 2": "cannot be a key",
    "a: &a [*a]": "'*a' stands for something that holds it",
    "a: *b": "there is no '&b' before this alias",
    "<<: 5": "'<<' takes in the keys of a mapping",
    "<<: [{a: 1}, 2]": "'<<' takes in the keys of a mapping",
    "<<: {a: 1}\n<<: {b: 1}": "the key '<<' is given twice",
    "a: !!python/object/apply:os.system ['true']": "has no meaning here",
    "a: !mine 1": "the tag '!mine' has no meaning here",
    "a: !!int x": "'x' is no int",
    "a: 1\n---\nb: 2": "line 2, column 1: a second document begins here",
    "%YAML 1.1\n---\na: 1": "the file says it is YAML 1.1",
    'a: "\\0"': "a text holds the control character \\x00",
    'a: "\\x1b[2J"': "a text holds the control character \\x1b",
    "[" * 2000 + "]" * 2000: "line 1, column 41: more than 40 lists and mappings within each other",
    "[" * 100_000: "more than 40 lists and mappings within each other",
    "- " * 100_000 + "1": "more than 40 lists and mappings within each other",
    "{a: " * 100_000: "more than 40 lists and mappings within each other",
    "a: 'x": "not valid YAML",
    "a:\n\t- 1": "line 2, column 1: not valid YAML",
}


@pytest.mark.parametrize("text", REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_what_cannot_be_read_is_one_sentence_with_its_place(text):
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "file.yaml")
    assert REFUSED[text] in str(caught.value)
    assert str(caught.value).startswith("file.yaml, line ")
    assert "\n" not in str(caught.value)


def test_aliases_of_aliases_neither_fill_the_memory_nor_the_stack():
    laughs = "\n".join(f"a{i}: &a{i} [{', '.join(['*a%d' % (i - 1)] * 9) if i else 1}]" for i in range(12))  # noqa: UP031
    with pytest.raises(ConfigError, match="the aliases stand for more than 1000000 values"):
        parse_yaml(laughs, "file.yaml")
    deep = "\n".join(f"a{i}: &a{i} [{f'*a{i - 1}' if i else 1}]" for i in range(500))
    with pytest.raises(ConfigError, match="aliases make more than 40 lists and mappings within each other"):
        parse_yaml(deep, "file.yaml")


def test_merge_keys_take_in_what_is_not_given(loader):
    text = "b: &b {x: 1, y: 2}\nc: &c {y: 3, z: 4}\none: {<<: *b, x: 5}\nboth: {w: 0, <<: [*b, *c]}\ntext: {'<<': 1}\n"
    content = parse_yaml(text, "file.yaml")
    assert content["one"] == {"x": 5, "y": 2}
    assert content["both"] == {"x": 1, "y": 2, "z": 4, "w": 0}
    assert content["text"] == {"<<": 1}
    assert content["b"] == {"x": 1, "y": 2}


def test_tags_of_the_core_schema_say_what_a_value_is(loader):
    text = "[!!str 010, !!int '8', !!float 1, !!bool 'true', !!null '', ! 12, !!seq [1], !!map {a: 1}]"
    assert parse_yaml(text, "file.yaml") == ["010", 8, 1.0, True, None, "12", [1], {"a": 1}]


LONG = [
    "a: [" + "1, " * 1500 + "]",
    "a: [" + ", ".join(f"v{i}" for i in range(1500)) + "]\nb: 1",
    "a: [" + ",\n ".join(f'"v{i}, x"' for i in range(1500)) + "]",
    "a: [" + ", ".join(f"{i}.5" for i in range(1500)) + ", true, null, ~]",
    "a: [" + ", ".join(["true", "nope", "NaN", "1e5", "0x1f", "-3", "team:x", "a b", "'q'"] * 300) + "]",
    "a:\n" + "".join(f"  - v{i}\n" for i in range(1500)) + "b: 1\n",
    "a:\n" + "".join(f"  - {i}  \n" for i in range(1500)) + "    going on\nb: 1\n",
    "".join(f"- 'v{i}'\n" for i in range(1500)) + "- last # not the next\n",
    "a: |\n" + "".join(f"  - v{i}\n" for i in range(1500)),
    "a: some text\n" + "".join(f"  - v{i}\n" for i in range(1500)),
    "a: '[" + "1, " * 1500 + "1]'",
    'a: "[' + "1, " * 1500 + '1]"',
    "# [" + "1, " * 1500 + "1]\na: 1",
    "[" + "1, " * 1500 + "1]: a",
    "a: [" + "x, " * 1500 + "1]: 2",
    "a: [" + ", ".join(["long-list-0"] * 1500) + "]",
    "a: [" + "1, " * 1500 + "010]",
    "a: [" + "1, " * 1500 + "1e400]",
    "a: [" + "1, " * 1500 + "12345678901234567890]",
    "a: [[" + "1, " * 1500 + "1], [" + "x, " * 1500 + "y]]",
    "a: [1,\n# " + "1, " * 1500 + "1]\n 2]",
]


@pytest.mark.parametrize("text", LONG, ids=[str(number) for number in range(len(LONG))])
def test_long_list_is_read_as_the_parser_reads_it(text):
    def read(parse):
        try:
            return repr(parse(text, "file.yaml"))
        except ConfigError as error:
            return str(error)

    assert read(parse_yaml) == read(parsing._parse_whole)


@given(
    st.lists(st.sampled_from(["1", "x", " ", "\n", "- ", "[", "]", ", ", '"', "'", ": ", "a", "#", "010"]), max_size=30)
)
def test_lists_are_long_from_two_items_on_in_this_test_and_read_the_same(parts):
    text = "".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dynvision.config.yaml_text.lists._LEAST", 1)
        results = []
        for parse in (parse_yaml, parsing._parse_whole):
            try:
                results.append(repr(parse(text, "file.yaml")))
            except ConfigError as error:
                results.append(str(error))
    assert results[0] == results[1]


def test_a_list_of_a_million_is_not_parsed_item_by_item():
    shortened = shorten_lists("a: [" + "1, " * 100_000 + "1]")
    assert shortened is not None
    assert len(shortened.text) < 100
