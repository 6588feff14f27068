"""Plain copies of the notebooks: nothing of MyST is left, nothing is lost, and numbers are those of the book."""

from __future__ import annotations

import json
import re

import nbformat
import pytest
from bs4 import BeautifulSoup

from book.tools import build, portable

PAGE = "notebooks/00_trial"
SAMPLE = r"""
# Trial

(sec-ball)=
## The ball

See {cite:t}`sole1999`, {cite:p}`sole1999,pair2001`, {eq}`eq-a`, {prf:ref}`thm-a`, {ref}`sec-ball`,
{ref}`here <sec-ball>`,
{doc}`/book/other`, {doc}`words </book/other>`, {eq}`eq-far`, {term}`logits`, {math}`x^2` and `{eq}` in code.
[Page](/book/other.md), [file](../LICENSE), [out](https://example.org/a_b), [text]{.luc-pon}.

$$
a = \class{luc-pon}{\lVert z_{1}\rVert}
$$ (eq-a)

```{math}
:label: eq-b
c = d
```

````{prf:theorem} The *big* one
:label: thm-a

Of {eq}`eq-b`:

```{admonition} Nested
:class: reading-note
Inside.
```
````

```{prf:proof}
Look.
```

:::{exercise} Do it
:label: ex-a
Now.
:::

```{solution} ex-a
:class: dropdown
Forty-two.
```

```python
text = "{eq}`not a role`"
```
"""


@pytest.fixture(scope="module")
def book() -> portable.Book:
    """Return a small book around the sample."""
    made = portable.Book("https://pages.example/", "https://forge.example/r")
    counters: dict = {}
    portable.scan(made, PAGE, SAMPLE, "3", counters)
    portable.scan(made, "book/other", "# Other page\n\n$$ x $$ (eq-far)\n", "", counters)
    made.literature = {
        "sole1999": ("Sole", "1999", "https://doi.org/10.1/x"),
        "pair2001": ("Ada and Bob", "2001", ""),
    }
    return made


@pytest.fixture(scope="module")
def plain(book) -> str:
    """Return the plain form of the sample."""
    return portable.Converter(book, PAGE).markdown(SAMPLE)


@pytest.mark.parametrize(
    "expected",
    [
        "[Sole (1999)](https://doi.org/10.1/x)",
        "([Sole, 1999](https://doi.org/10.1/x); [Ada and Bob, 2001](https://pages.example/book/references.html))",
        "(3.1), Theorem 3.1, The ball,\nhere,",
        "[Other page](https://pages.example/book/other.html), [words](https://pages.example/book/other.html)",
        "[(1)](https://pages.example/book/other.html#equation-eq-far), logits, $x^2$ and `{eq}` in code.",
        "[Page](https://pages.example/book/other.html), [file](https://forge.example/r/blob/main/LICENSE)",
        "[out](https://example.org/a_b), text.",
        "a = {\\lVert z_{1}\\rVert} \\tag{3.1}\n$$",
        "c = d \\tag{3.2}\n$$",
        "**Theorem 3.1 (The *big* one).**\n\nOf (3.2):\n\n> **Nested**\n>\n> Inside.",
        "*Proof.* Look. ∎",
        "**Exercise 3.1 (Do it).**\n\nNow.",
        "<details>\n<summary>Solution to Exercise 3.1</summary>\n\nForty-two.\n\n</details>",
        'text = "{eq}`not a role`"',
    ],
)
def test_each_construct_has_its_plain_form(plain, expected):
    assert expected in plain


def test_nothing_is_left_in_the_sample(plain):
    assert set(portable.leftovers(SAMPLE)) > {"math", "prf:theorem", "exercise"}
    assert portable.leftovers(plain) == []


@pytest.mark.parametrize(
    ("markdown", "message"),
    [
        ("```{mermaid}\nx\n```", "directive 'mermaid'"),
        ("{sub}`x`", "role 'sub'"),
        ("{eq}`gone`", "no label 'gone'"),
        ("{cite}`gone`", "no work 'gone'"),
        ("{doc}`/book/gone`", "no page '/book/gone'"),
        ("```{note}\nnever closed", "never closed"),
    ],
)
def test_what_has_no_plain_form_is_an_error(book, markdown, message):
    with pytest.raises(ValueError, match=message):
        portable.Converter(book, PAGE).markdown(markdown)


def test_solutions_can_be_left_out(book):
    cells = [
        nbformat.v4.new_markdown_cell(SAMPLE),
        nbformat.v4.new_markdown_cell("```{solution-start} ex-a\n:label: sol-b\n```"),
        nbformat.v4.new_code_cell("answer = 42"),
        nbformat.v4.new_markdown_cell("```{solution-end}\n```"),
        nbformat.v4.new_code_cell("after = 1"),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    whole = json.dumps(portable.convert(notebook, book, PAGE))
    without = json.dumps(portable.convert(notebook, book, PAGE, solutions=False))
    assert "Forty-two" in whole
    assert "answer = 42" in whole
    assert "Forty-two" not in without
    assert "answer = 42" not in without
    assert "after = 1" in without


@pytest.fixture(scope="module")
def copies(tmp_path_factory) -> dict[str, nbformat.NotebookNode]:
    """Return the plain copies of all chapters."""
    written = portable.write_all(tmp_path_factory.mktemp("colab"))
    return {path.stem: nbformat.read(path, as_version=4) for path in written}


def test_every_chapter_has_a_copy(copies):
    assert sorted(copies) == [path.stem for path in build.notebooks()]


def test_copies_hold_no_directive_or_role(copies):
    for name, notebook in copies.items():
        nbformat.validate(notebook)
        for at, cell in enumerate(notebook.cells):
            if cell.cell_type == "markdown":
                assert portable.leftovers(cell.source) == [], (name, at)


def test_copies_hold_the_same_code_in_the_same_order(copies):
    for path in build.notebooks():
        original = nbformat.read(path, as_version=4)
        code = [cell.source for cell in original.cells if cell.cell_type == "code"]
        assert [cell.source for cell in copies[path.stem].cells if cell.cell_type == "code"] == code


def test_numbers_are_those_of_the_pages(book_html):
    """Sphinx numbers equations, theorems and exercises; the copies count for themselves and must agree."""
    checked = 0
    for label, place in portable.read_book().places.items():
        page = BeautifulSoup((book_html / f"{place.page}.html").read_text(encoding="utf-8"), "html.parser")
        target = page.find(id=place.anchor)
        assert target is not None, label
        if place.text.startswith("("):
            shown = target.find(class_="eqno").get_text()
        elif re.fullmatch(r"[A-Z][a-z]+ [\d.]+", place.text):
            shown = target.find(class_="admonition-title").get_text()
        else:
            continue
        assert place.text in shown, label
        checked += 1
    assert checked >= 5


def test_downloads_are_the_plain_copies(book_html, copies):
    for name, notebook in copies.items():
        assert nbformat.read(book_html / "_sources" / "notebooks" / f"{name}.ipynb", as_version=4) == notebook
