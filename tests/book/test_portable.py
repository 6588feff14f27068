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


def test_solutions_leave_no_trace_where_they_stood_and_fold_without_their_text(book):
    converter = portable.Converter(book, PAGE)
    assert "Forty-two" not in converter.markdown(SAMPLE)
    assert converter.solutions == ["<details>\n<summary>Solution to Exercise 3.1</summary>\n\nForty-two.\n\n</details>"]


@pytest.fixture
def original() -> nbformat.NotebookNode:
    """Return a notebook with a solution in each form that there is, one sentence after its Markdown among them."""
    code, text = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    hidden, tagged = {"tags": ["hide-cell"]}, {"tags": ["hide-cell", "solution"]}
    cells = [
        text("# Trial\n\n```{exercise} Do it\n:label: ex-a\nNow.\n```", id="ex"),
        code("answer = ...\ncheck(answer)", id="ask"),
        text("```{solution} ex-a\n:class: dropdown\nForty-two.\n```\n\nGo on.", id="sol"),
        code("step = 40", id="sol-step", metadata=tagged),
        code("answer = step + 2\ncheck(answer).require()  \n", id="sol-code", metadata=hidden),
        text("It is even.", id="sol-after", metadata={"tags": ["solution"]}),
        code("after = 1  # x.require() is no solution here\nafter", id="folded", metadata=hidden),
    ]
    return nbformat.v4.new_notebook(cells=cells)


def names(notebook: dict) -> list[str]:
    return [cell["id"] for cell in notebook["cells"]]


def test_solutions_stand_at_the_end_or_nowhere(book, original):
    whole, handout = (portable.convert(original, book, PAGE, solutions=keep) for keep in (True, False))
    assert names(handout) == ["plain-copy", "ex", "ask", "sol", "folded"]
    assert names(whole) == [*names(handout), "solutions", "sol-0", "sol-step", "sol-code", "sol-after"]
    assert whole["cells"][1:5] == handout["cells"][1:]
    assert all(cell["metadata"]["jupyter"]["source_hidden"] for cell in whole["cells"][7:9])
    first_lines = [cell["source"].splitlines()[0] for cell in whole["cells"][7:9]]
    assert first_lines == ["# @title Solution to Exercise 3.1"] * 2, "what a folded cell shows gives nothing away"
    for secret in ("Forty-two", "42", "step", "even"):
        assert secret not in json.dumps(handout), secret
    assert "Go on." in json.dumps(handout)
    assert len(set(names(whole))) == len(names(whole))
    nbformat.validate(nbformat.from_dict(whole))


def work_on(path, source: str | None = None) -> bytes:
    """Do as a reader does in JupyterLab: change the last code cell, or not, run it, save."""
    notebook = nbformat.read(path, as_version=4)
    cell = [cell for cell in notebook.cells if cell.cell_type == "code"][-1]
    cell.source = source or cell.source
    cell.outputs = [nbformat.v4.new_output("stream", text="2")]
    nbformat.write(notebook, path)
    return path.read_bytes()


def test_a_reader_s_changes_stay(book, original, tmp_path):
    first = portable.convert(original, book, PAGE)
    original.cells[0].source += "\nMore."
    second = portable.convert(original, book, PAGE)
    original.cells[0].source += "\nAnd more."
    third = portable.convert(original, book, PAGE)
    target, beside = tmp_path / "01_trial.ipynb", tmp_path / "01_trial-2.ipynb"

    assert portable.keep_changes(target, first) == target
    mine = work_on(target, "mine = 2")
    assert portable.keep_changes(target, first) == target, "the copy is the newest: nothing to write"
    assert portable.keep_changes(target, second) == beside
    assert portable.keep_changes(target, third) == beside, (
        "the copy beside was not touched, so it is brought up to date"
    )
    assert json.loads(beside.read_text(encoding="utf-8")) == third
    assert target.read_bytes() == mine
    work_on(beside, "mine = 3")
    assert portable.keep_changes(target, second) == tmp_path / "01_trial-3.ipynb"
    target.write_text("no notebook at all", encoding="utf-8")
    assert portable.keep_changes(target, third) == beside
    assert target.read_text(encoding="utf-8") == "no notebook at all"


def test_a_copy_that_was_only_run_is_brought_up_to_date(book, original, tmp_path):
    target = tmp_path / "01_trial.ipynb"
    first = portable.convert(original, book, PAGE)
    portable.keep_changes(target, first)
    ran = work_on(target)
    assert portable.keep_changes(target, first) == target
    assert target.read_bytes() == ran, "its outputs stay while the book stays"
    original.cells[0].source += "\nMore."
    second = portable.convert(original, book, PAGE)
    assert portable.keep_changes(target, second) == target
    assert json.loads(target.read_text(encoding="utf-8")) == second


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


def test_copies_hold_the_same_code_solutions_last(copies):
    for path in build.notebooks():
        originals = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        copied = [cell.source for cell in copies[path.stem].cells if cell.cell_type == "code"]
        copied = [re.sub(r"^# @title Solution.*\n", "", source) for source in copied]
        last = [source for source in originals if source.rstrip().endswith(".require()")]
        assert copied == [source for source in originals if source not in last] + last


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
        handout = nbformat.read(book_html / "_sources" / "handout" / f"{name}.ipynb", as_version=4)
        assert [cell.source for cell in handout.cells if ".require()" in cell.source] == []
