"""A prediction: the reader commits to a guess, then the result opens and the guess stays beside it; no kernel, no script.

The answer is a ``<details>``: where the style sheet is taken away, or the browser is too old for it, the answer is still a fold.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Sequence
from typing import Any

from companion.page.display import MUTED, RULE, SANS, Panel, inline, plain, style


def predict(
    question: str, choices: Sequence[str], *, right: int | None, result: Any, so: str, says: str = "The runs say"
) -> Panel:
    """Return a question whose result opens once a choice is made; the choice stays marked beside what the data say.

    A choice is a commitment: it cannot be changed until the page is loaded anew. Who does not want to guess opens the fold. In
    print all is open.

    Args:
        question: light Markdown, as are ``choices``, ``so`` and ``says``.
        choices: two or more.
        right: index of the choice that the data bear out, computed from them; None where nothing is recorded yet.
        result: what opens: anything with an HTML face (a figure, a panel, prose), a sequence of them, or a function without
            arguments that returns one.
        so: the sentence after the result, which says what follows from it.
        says: who answers: ``"The runs say"``, ``"The formula says"``.

    Raises:
        ValueError: there is no question or no second choice, two choices are alike, or ``right`` is the index of none.
        TypeError: the result has no HTML face.

    Example:
        >>> from companion.page import say
        >>> lengths = {"it grows": 31.7, "it shrinks": 3.8}
        >>> longest = list(lengths.values()).index(max(lengths.values()))
        >>> predict("Which is it?", list(lengths), right=longest, result=say("It ends at 31.7."), so="Growth **wins**.")
        Predict: Which is it?
           a) it grows
           b) it shrinks
        The runs say: it grows.
        It ends at 31.7.
        Growth wins.
    """
    choices = [choice.strip().rstrip(".") for choice in choices]
    if not question.strip():
        raise ValueError("a prediction needs a question")
    if len(choices) < 2 or "" in choices or len(set(choices)) < len(choices):
        raise ValueError(f"choices must be two or more, no two alike, got {choices!r}")
    if right is not None and right not in range(len(choices)):
        raise ValueError(f"right must be an index of the {len(choices)} choices or None, got {right!r}")
    shown, words = _faces(result)
    ident = "luc-predict-" + hashlib.sha256("\n".join([question, *choices]).encode()).hexdigest()[:8]
    rows = "".join(_row(f"{ident}-{k}", choice, says if k == right else "") for k, choice in enumerate(choices))
    verdict = "" if right is None else f"{inline(says)}: <strong>{inline(choices[right])}</strong>."
    guesses = ("You said the same." if k == right else f"You said: {inline(one)}." for k, one in enumerate(choices))
    yours = "".join(f' <span id="{ident}-{k}-said" hidden>{guess}</span>' for k, guess in enumerate(guesses))
    page = (
        f'{_css(ident, len(choices))}<div class="luc-predict" id="{ident}"><fieldset><legend><span>Predict</span>'
        f'{inline(question)}</legend>{rows}<p class="luc-hint"></p></fieldset><details class="luc-answer">'
        f'<summary>Show it without guessing</summary><p role="status">{verdict}{yours}</p>{shown}<p>{inline(so)}</p></details></div>'
    )
    text = [f"Predict: {plain(question)}", *(f"   {chr(97 + k)}) {plain(choice)}" for k, choice in enumerate(choices))]
    answer = [] if right is None else [f"{plain(says)}: {plain(choices[right])}."]
    return Panel(page, "\n".join([*text, *answer, words, plain(so)]))


def _row(ident: str, choice: str, says: str) -> str:
    """Return one choice: a radio button of a group of its own, for in a shared one the arrow keys would commit."""
    mark = html.escape(plain(says[:1].lower() + says[1:]), quote=True)
    data = f' data-says="{mark}"' if says else ""
    button = f'<input type="radio" name="{ident}" id="{ident}">'
    return f'<div class="luc-guess">{button}<label for="{ident}"{data}>{inline(choice)}</label></div>'


def _faces(result: Any) -> tuple[str, str]:
    """Return the HTML and the text of a result, of each in a sequence, or of what a function returns."""
    if isinstance(result, Sequence) and not isinstance(result, str):
        faces = [_faces(one) for one in result]
        return "".join(face for face, _ in faces), "\n".join(words for _, words in faces)
    if hasattr(result, "_repr_mimebundle_"):
        bundle = result._repr_mimebundle_()
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if "text/html" in data:
            return data["text/html"], data.get("text/plain", repr(result))
        if "text/markdown" in data:
            return f"<p>{inline(data['text/markdown'])}</p>", data["text/plain"]
        if "text/latex" in data:
            formula = html.escape(data["text/latex"].strip().strip("$").strip(), quote=False)
            return f'<div class="math notranslate nohighlight">\\[{formula}\\]</div>', data["text/plain"]
    if hasattr(result, "_repr_html_"):
        return result._repr_html_(), repr(result)
    if callable(result):
        return _faces(result())
    raise TypeError(f"result must have an HTML face, as a figure, a panel or prose has, got {result!r}")


def _css(ident: str, choices: int) -> str:
    """Return the style, in which all of the opening and holding shut is done."""
    said = ",".join(f"#{ident}:has(#{ident}-{k}:checked) #{ident}-{k}-said[hidden]" for k in range(choices))
    return style(_RULES + f"{said}{{position:static;visibility:visible}}")


_GUESSED = ".luc-predict:has(>fieldset>.luc-guess>input:checked)"
_OVER = ".luc-predict:is(:has(>fieldset>.luc-guess>input:checked),:has(>.luc-answer[open]))"
_RULES = f"""
.luc-predict {{ margin: .4em 0 1em; }}
.luc-predict > fieldset, .luc-answer > summary {{ max-width: 680px; min-width: 0; box-sizing: border-box; margin: 0; border: 0;
  border-left: 3px solid {RULE} !important; padding: .1em 0 .3em 1.1em; font: 400 17px/1.45 {SANS}; }}
.luc-predict legend {{ float: left; width: 100%; padding: 0; margin: 0 0 .4em; font: 600 17px/1.45 {SANS}; }}
.luc-predict legend > span:first-child {{ display: block; font-weight: 400; font-size: 15px; color: {MUTED}; }}
.luc-guess {{ clear: both; display: grid; grid-template-columns: 1.7em 1fr; align-items: start; }}
.luc-guess > input {{ width: 1.05em; height: 1.05em; margin: .62em 0 0; cursor: pointer; }}
.luc-guess > label {{ font: inherit; margin: 0; padding: .4em 0; cursor: pointer; }}
.luc-hint, .luc-answer > summary {{ font: 400 15px/1.45 {SANS}; color: {MUTED}; margin: .3em 0 0; clear: both; }}
.luc-answer > summary {{ margin: 0; cursor: pointer; }}
.luc-hint::after {{ content: "Choose, then open the result."; }}
.luc-answer > p {{ max-width: 680px; margin: 1em 0; position: relative; }}
.luc-answer span[hidden] {{ display: inline !important; position: absolute; inset: 0; visibility: hidden; }}
{_OVER} .luc-guess > input:not(:checked) {{ visibility: hidden; }}
{_OVER} .luc-guess > label {{ pointer-events: none; color: {MUTED}; }}
{_OVER} .luc-guess > :is([data-says], :checked + label) {{ color: inherit; }}
{_OVER} .luc-guess > [data-says] {{ font-weight: 600; }}
{_OVER} .luc-guess > [data-says]::after {{ content: " ← " attr(data-says); }}
{_OVER} .luc-guess > :checked + label::after {{ content: " ← your guess"; }}
{_OVER} .luc-guess > :checked + [data-says]::after {{ content: " ← your guess, and " attr(data-says) " so"; }}
.luc-predict .luc-guess > label::after {{ font: 400 15px/1.45 {SANS}; color: {MUTED}; }}
{_OVER} .luc-hint {{ display: none; }}
@supports selector(::details-content) and selector(:has(*)) {{
  .luc-hint::after {{ content: "Choosing opens the result; your choice stays."; }}
  {_GUESSED} > .luc-answer::details-content {{ content-visibility: visible; height: auto; }}
  {_GUESSED} > .luc-answer > summary {{ display: none; }}
}}
@media print {{
  .luc-predict > .luc-answer::details-content {{ content-visibility: visible; height: auto; }}
  .luc-guess > [data-says]::after {{ content: " ← " attr(data-says); }}
  .luc-hint, .luc-answer > summary {{ display: none; }}
}}
"""
