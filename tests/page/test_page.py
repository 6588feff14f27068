"""The head of a chapter, sources beside formulas, quizzes, prose: what they show and what they refuse."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup

from companion import look, papers
from companion.methods import partial_norm
from companion.methods.partial_output_norm import PartialNorm
from companion.page import (
    at_a_glance,
    equation,
    fill_places,
    quiz,
    say,
    setup,
    source_beside,
    you_are_here,
)
from companion.page import strip as page
from companion.page.display import inline, plain
from companion.papers import Question

ROOT = Path(__file__).parents[2]
first_cell = importlib.import_module("companion.page.setup")  # as an attribute of `page` the name is the function
MAP = '<div data-methods="map" data-chapters="../notebooks/"></div>'


def soup(shown: object) -> BeautifulSoup:
    return BeautifulSoup(shown._repr_mimebundle_()["text/html"], "html.parser")


class TestSetup:
    def test_names_versions_device_and_profile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COMPANION_PROFILE", "laptop")
        text = setup("math").text
        for word in ("Python 3.", "torch ", "companion ", "sympy ", "device ", "profile laptop"):
            assert word in text

    def test_installs_only_what_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        absent = {"anywidget"}
        real = first_cell.importlib.util.find_spec
        fake = SimpleNamespace(find_spec=lambda name: None if name in absent else real(name))
        monkeypatch.setattr(first_cell.importlib, "util", fake)
        assert first_cell.missing(("math", "widgets")) == ["anywidget"]
        commands: list[list[str]] = []
        first_cell.install(["anywidget", "torch_geometric"], commands.append)
        assert commands[0][1:] == ["-m", "pip", "install", "--quiet", "anywidget", "torch-geometric"]
        first_cell.install([], commands.append)
        assert len(commands) == 1

    @pytest.mark.parametrize("name", ["torch", "torchvision"])
    def test_never_installs_torch(self, name: str) -> None:
        commands: list[list[str]] = []
        with pytest.raises(RuntimeError, match=f"{name} is missing"):
            first_cell.install([name], commands.append)
        assert commands == []

    def test_says_what_to_type_when_installing_fails(self) -> None:
        def fail(command: list[str]) -> None:
            raise subprocess.CalledProcessError(1, command)

        with pytest.raises(RuntimeError, match=r"could not install anywidget; try it by hand: .*pip install"):
            first_cell.install(["anywidget"], fail)

    @pytest.fixture
    def pip(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        """Let the extra "widgets" be one package, which a stand-in for pip writes to a folder."""
        monkeypatch.setitem(first_cell.PACKAGES, "widgets", ("luc_example",))

        def writes_to(folder: Path, *, metadata: bool = True) -> None:
            def pip(_: list[str]) -> None:
                before = folder.stat()
                (folder / "luc_example.py").write_text("")
                if metadata:
                    (folder / "luc_example-2.3.dist-info").mkdir()
                    (folder / "luc_example-2.3.dist-info" / "METADATA").write_text("Name: luc-example\nVersion: 2.3\n")
                os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))  # some file systems' clocks are coarse

            monkeypatch.setattr(first_cell.install, "__defaults__", (pip,))

        return writes_to

    def test_a_package_that_this_kernel_cannot_see_yet_asks_for_a_restart(
        self, pip: Callable[..., None], tmp_path: Path
    ) -> None:
        pip(tmp_path)  # as a user's own site-packages, made after the kernel started
        with pytest.raises(RuntimeError, match=r"pip has installed luc_example where .*: restart the kernel"):
            setup("widgets")

    @pytest.mark.parametrize(
        ("metadata", "shown"), [(True, "luc_example 2.3"), (False, "luc_example of unknown version")]
    )
    def test_a_package_that_has_just_arrived_is_used(
        self, pip: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: bool, shown: str
    ) -> None:
        monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
        assert first_cell.missing(["widgets"]) == ["luc_example"]  # Python has now listed the folder
        pip(tmp_path, metadata=metadata)
        assert shown in setup("widgets").text

    def test_unknown_extra(self) -> None:
        with pytest.raises(ValueError, match="unknown extra 'maths'; known: math"):
            setup("maths")


class TestHead:
    def test_strip_marks_places_and_has_every_method_where_it_acts(self) -> None:
        shown = soup(you_are_here("transform", "penalty", chapter="partial_output_norm"))
        marked = [item.span.text for item in shown.select("li.luc-here")]
        assert marked == ["transform", "penalty"]
        dots = shown.select(".luc-dot")
        assert len(dots) == sum(len(paper.method.places) for paper in page.methods())
        assert {dot["aria-label"] for dot in dots} == {paper.method.name for paper in page.methods()}

    @pytest.mark.parametrize("stem", papers.names())
    def test_strip_links_to_every_chapter_but_its_own(self, stem: str) -> None:
        links = {link["href"] for link in soup(you_are_here(chapter=stem)).select("a.luc-dot")}
        written = [paper for paper in page.methods() if paper.chapter.written]
        assert links == {f"{paper.chapter.notebook}.html" for paper in written if paper.stem != stem}
        assert "01_partial_output_norm.html" in links or stem == "partial_output_norm"
        for link in links:
            assert (ROOT / "notebooks" / link).with_suffix(".ipynb").is_file()

    def test_a_chapter_is_linked_from_when_the_papers_know_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = papers._read
        for written, links in ((False, 0), (True, 2)):  # one link a place: penalty and update
            loss = {**real("norm_loss"), "chapter": {**real("norm_loss")["chapter"], "written": written}}
            monkeypatch.setattr(papers, "_read", lambda stem, loss=loss: loss if stem == "norm_loss" else real(stem))
            shown = soup(you_are_here(chapter="partial_output_norm"))
            assert len(shown.select('a[href="05_norm_loss.html"]')) == links
            assert fill_places(MAP).count('href="../notebooks/05_norm_loss.html"') == bool(links)

    def test_dots_have_the_colours_of_the_papers(self) -> None:
        shown = soup(you_are_here())
        dots = {dot["aria-label"]: dot["style"] for dot in shown.select(".luc-dot")}
        for paper in page.methods():
            assert dots[paper.method.name] == f"background:{look.token(paper.colour.token)}"

    @pytest.mark.parametrize(
        ("places", "chapter", "says"),
        [(("loss",), "", "unknown place 'loss'"), ((), "P-ON", "no paper 'P-ON'.*partial_output_norm")],
    )
    def test_strip_refuses_unknown_names(self, places: tuple[str, ...], chapter: str, says: str) -> None:
        with pytest.raises(ValueError, match=says):
            you_are_here(*places, chapter=chapter)

    def test_glance(self) -> None:
        shown = soup(at_a_glance(able=["do `this`"], before="calculus", minutes={"CPU": "1 minute"}))
        assert shown.select_one("li code").text == "this"
        assert [term.text for term in shown.select("dt")] == ["reading", "CPU"]
        assert shown.select_one("[data-counted=reading]"), "the build counts and writes it there"
        with pytest.raises(ValueError, match="how long"):
            at_a_glance(able=["x"], before="", minutes={})


class TestFirstPage:
    def test_strip_and_map_are_filled_and_nowhere_written_by_hand(self) -> None:
        source = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
        assert "luc-dot" not in source
        assert "luc-map" not in source
        filled = BeautifulSoup(fill_places(source), "html.parser")
        assert not filled.select("[data-methods]")
        links = {link["href"] for link in filled.select("nav.luc-strip a, dl.luc-map a")}
        written = [paper.chapter.notebook for paper in page.methods() if paper.chapter.written]
        assert links == {f"../notebooks/{name}.html" for name in written}
        assert filled.select("nav.luc-strip li"), "the strip has its place"
        assert filled.select("dl.luc-map dd"), "the map has its place"
        assert page.headlines("partial_output_norm").markdown.splitlines()[0] in fill_places(source), (
            "what holds has its place"
        )

    def test_map_has_every_method_with_its_places_and_no_link_before_its_chapter(self) -> None:
        shown = BeautifulSoup(fill_places(MAP), "html.parser")
        for term, said, paper in zip(shown.select("dt"), shown.select("dd"), page.methods(), strict=True):
            method = paper.method
            assert term.text == ", ".join(method.places)
            assert said.text.lower().startswith(f"{method.name}, {method.short} {method.does}".lower())
            assert bool(said.select("a")) == paper.chapter.written == (not said.select(".luc-soon"))

    def test_another_place_is_refused(self) -> None:
        with pytest.raises(ValueError, match="must be 'strip', 'map' or 'headlines', got 'list'"):
            fill_places('<div data-methods="list"></div>')


class TestSource:
    def test_source_is_the_librarys_without_its_docstring(self) -> None:
        panel = source_beside(partial_norm, r"$\Gamma(z)$, the ball")
        text = soup(panel).text
        assert "_project(z, factor, threshold, axis, masks)" in text
        assert "Shorten each logit vector" not in text
        assert "companion.methods.partial_output_norm.partial_norm" in text
        assert soup(panel).select_one("span.math").text == r"\(\Gamma(z)\)"

    def test_classes_too(self) -> None:
        assert "class PartialNorm" in source_beside(PartialNorm, "as a module").text

    def test_without_pygments_the_code_is_plain(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from companion.page import source

        fake = SimpleNamespace(util=SimpleNamespace(find_spec=lambda name: None))
        monkeypatch.setattr(source, "importlib", fake)
        assert "def partial_norm" in soup(source_beside(partial_norm, "x")).pre.text

    def test_a_formula_is_needed(self) -> None:
        with pytest.raises(ValueError, match="formula"):
            source_beside(partial_norm)


class TestQuiz:
    questions = (
        Question("Two < three?", (("yes", "So it is."), ("no", "Count again.")), right=0),
        Question("One plus one?", (("3", "Less."), ("2", "Yes."), ("1", "More.")), right=1),
    )

    def test_it_is_labelled_and_needs_no_script(self) -> None:
        shown = soup(quiz(self.questions))
        assert not shown.select("script")
        assert len(shown.select("fieldset")) == 2
        names = {box["name"] for box in shown.select("input")}
        assert len(names) == 2
        for box in shown.select("input"):
            assert shown.select_one(f'label[for="{box["id"]}"]') is not None
            assert shown.select_one(f"#{box['aria-describedby']}") is not None
        assert len({tag["id"] for tag in shown.select("[id]")}) == len(shown.select("[id]"))

    def test_exactly_the_right_choice_is_called_right(self) -> None:
        shown = soup(quiz(self.questions))
        for fieldset, question in zip(shown.select("fieldset"), self.questions, strict=True):
            said = [note.strong.text for note in fieldset.select(".luc-say")]
            assert [word == "Right." for word in said] == [k == question.right for k in range(len(question.choices))]
        assert "1. Two < three?" in quiz(self.questions).text
        assert shown.select_one("details li").text == "yes: So it is."

    def test_refusals(self) -> None:
        with pytest.raises(ValueError, match="at least two"):
            quiz([Question("?", (("only", "one"),), right=0)])
        with pytest.raises(ValueError, match="needs a question"):
            quiz([])


class TestProse:
    def test_minus_signs_are_typographic_and_words_stay(self) -> None:
        assert say("a −1 b: -0.5, well-known, 2-3").markdown == "a −1 b: −0.5, well-known, 2-3"

    def test_empty_sentences_are_left_out(self) -> None:
        assert say("One.", "", "Two.").markdown == "One. Two."
        with pytest.raises(ValueError, match="at least one"):
            say("", " ")

    def test_text_face_has_no_marks(self) -> None:
        assert repr(say("**so** it `is`")) == "so it is"
        assert plain("a **b** *c* `d` $e$") == "a b c d e"

    def test_inline_escapes_and_marks(self) -> None:
        assert inline("<b> **x** *y* `a<b` $p<q$") == (
            "&lt;b&gt; <strong>x</strong> <em>y</em> <code>a&lt;b</code> "
            '<span class="math notranslate nohighlight">\\(p&lt;q\\)</span>'
        )

    def test_equation(self) -> None:
        import sympy as sp

        x = sp.Symbol("x")
        shown = equation("f", x**2, (x, 1))._repr_mimebundle_()
        assert shown["text/latex"].startswith("$$\nf = x^{2} = ")
        assert re.search(r"matrix.*x.*1", shown["text/latex"])
        with pytest.raises(ValueError, match="right side"):
            equation("f")
