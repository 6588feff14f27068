"""The bibliography: strictly readable, required fields there, no working marks left, every citation found."""

from __future__ import annotations

import re

import pytest

# BibTeX's required fields; `misc` must at least say where it is to be had.
REQUIRED = {
    "article": [("author",), ("title",), ("journal",), ("year",)],
    "book": [("author",), ("title",), ("publisher",), ("year",)],
    "inproceedings": [("author",), ("title",), ("booktitle",), ("year",)],
    "misc": [("author",), ("title",), ("year",), ("eprint", "howpublished", "doi")],
    "techreport": [("author",), ("title",), ("institution",), ("year",)],
    "unpublished": [("author",), ("title",), ("note",)],
}
# Traces of working notes: (v), (U), [C], [c], "U:", "v3", question marks for unknown values, a stray field separator.
MARKS = re.compile(r"\((?:v|U|c|C)\b[^)]*\)|\[(?:v|U|c|C)\b[^\]]*\]|\bU:|\bv\d|\?\?|\bTODO\b|\bunknown\b|;|=")


@pytest.fixture(scope="module")
def text(root):
    return (root / "book" / "references.bib").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def entries(text):
    import pybtex.errors
    from pybtex.database import parse_string

    with pybtex.errors.capture() as problems:
        database = parse_string(text, "bibtex")
    assert not problems, problems
    return database.entries


def values(entry) -> dict[str, str]:
    people = {role: " and ".join(str(person) for person in persons) for role, persons in entry.persons.items()}
    return {**{name.lower(): value for name, value in entry.fields.items()}, **people}


def test_keys_are_unique_whatever_their_case(text, entries):
    keys = [key.lower() for key in re.findall(r"^@\w+\{([^,]+),", text, flags=re.MULTILINE)]
    assert len(keys) == len(set(keys)) == len(entries)


def test_required_fields_are_there(entries):
    for key, entry in entries.items():
        there = values(entry)
        for choices in REQUIRED[entry.type]:
            assert any(there.get(name, "").strip() for name in choices), f"{key} needs {' or '.join(choices)}"


def test_no_working_marks_are_left(entries):
    for key, entry in entries.items():
        for name, value in values(entry).items():
            assert not MARKS.search(value), f"{key}: {name} = {value}"


def test_year_is_the_key_s(entries):
    for key, entry in entries.items():
        stated = re.search(r"\d{4}", key)
        assert entry.fields.get("year") == (stated and stated[0]), key


def test_fields_are_well_formed(entries):
    shapes = {
        "year": r"(1[89]|20)\d\d",
        "pages": r"[a-z]?\d+(--\d+)?",
        "volume": r"\d+",
        "number": r"\d+(--\d+)?",
        "eprint": r"\d{4}\.\d{4,5}",
        "doi": r"10\.\d{4,}/\S+",
    }
    for key, entry in entries.items():
        for name, shape in shapes.items():
            if name in entry.fields:
                assert re.fullmatch(shape, entry.fields[name]), f"{key}: {name} = {entry.fields[name]}"
        assert ("eprint" in entry.fields) == ("archiveprefix" in {name.lower() for name in entry.fields}), key
        if name_pages := entry.fields.get("pages", "").split("--")[1:]:
            assert int(name_pages[0]) > int(entry.fields["pages"].split("--")[0]), key


def test_preprint_numbers_fit_the_year(entries):
    """An arXiv number begins with year and month of submission, which proceedings precede by a year at most."""
    for key, entry in entries.items():
        if "eprint" in entry.fields:
            year, month = 2000 + int(entry.fields["eprint"][:2]), int(entry.fields["eprint"][2:4])
            assert year - 1 <= int(entry.fields["year"]), key
            assert 1 <= month <= 12, key


def test_the_style_of_the_book_sets_every_entry(entries):
    from pybtex.plugin import find_plugin

    style, backend = find_plugin("pybtex.style.formatting", "plain")(), find_plugin("pybtex.backends", "text")()
    formatted = list(style.format_entries(entries.values()))
    assert len(formatted) == len(entries)
    for one in formatted:
        assert len(one.text.render(backend)) > 30, one.key


def test_every_citation_of_the_book_is_in_it(root, entries):
    pages = [*root.glob("book/**/*.md"), *root.glob("notebooks/*.ipynb")]
    cited = {
        key.strip(): page.name
        for page in pages
        for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", page.read_text(encoding="utf-8"))
        for key in keys.split(",")
    }
    assert not {key: page for key, page in cited.items() if key not in entries}
