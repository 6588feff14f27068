"""A quiz that needs no kernel and no script: radio buttons whose feedback the style sheet shows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from companion.page.display import MUTED, RULE, SANS, Panel, inline, plain, style
from companion.papers import Question


def quiz(questions: Sequence[Question]) -> Panel:
    """Return a quiz: choosing an answer shows what there is to say about it; all answers stand folded below.

    Args:
        questions: in order; text, choices and comments are light Markdown. ``companion.papers.load(stem).quiz`` has a chapter's.

    Raises:
        ValueError: there is no question, or one without a right and a wrong choice.

    Example:
        >>> from companion.papers import Question
        >>> one = Question("Two plus two?", (("3", "One more."), ("4", "Yes.")), right=1)
        >>> quiz([one])
        1. Two plus two?
           a) 3
           b) 4
        Answers: 1b (Yes.)
    """
    if not questions:
        raise ValueError("a quiz needs a question")
    if any(len(one.choices) < 2 or not 0 <= one.right < len(one.choices) for one in questions):
        raise ValueError("a question needs at least two choices and the index of the right one")
    seed = hashlib.sha256("".join(question.text for question in questions).encode()).hexdigest()[:8]
    css = style(
        f""".luc-quiz fieldset{{border:0;border-top:1px solid {RULE};margin:0;padding:.9em 0 1em}}
        .luc-quiz{{max-width:680px;margin:1em 0}}
        .luc-quiz legend{{float:left;width:100%;padding:0;font-size:1em;line-height:inherit;font-weight:600;
        margin-bottom:.4em}}
        .luc-quiz .luc-choice{{clear:both;display:grid;grid-template-columns:1.6em 1fr;padding:.25em 0}}
        .luc-quiz input{{margin:.45em 0 0;width:1em;height:1em}}
        .luc-quiz .luc-say{{display:none;grid-column:2;font:400 16px/1.5 {SANS};color:{MUTED};margin:.1em 0 .3em}}
        .luc-quiz input:checked~.luc-say{{display:block}}
        .luc-quiz details{{border-top:1px solid {RULE};padding:.7em 0;font:400 16px/1.5 {SANS}}}"""
    )
    parts = [_fieldset(f"luc-quiz-{seed}-{number}", number, question) for number, question in enumerate(questions, 1)]
    answers = "".join(
        f"<li>{inline(question.choices[question.right][0])}: {inline(question.choices[question.right][1])}</li>"
        for question in questions
    )
    page = (
        f'{css}<section class="luc-quiz" aria-label="Quiz">{"".join(parts)}'
        f"<details><summary>All answers</summary><ol>{answers}</ol></details></section>"
    )
    return Panel(page, _as_text(questions))


def _fieldset(name: str, number: int, question: Question) -> str:
    rows = []
    for index, (choice, comment) in enumerate(question.choices):
        ident = f"{name}-{index}"
        verdict = "Right." if index == question.right else "Not quite."
        rows.append(
            f'<div class="luc-choice"><input type="radio" name="{name}" id="{ident}" aria-describedby="{ident}-say">'
            f'<label for="{ident}">{inline(choice)}</label>'
            f'<p class="luc-say" id="{ident}-say" role="status"><strong>{verdict}</strong> {inline(comment)}</p></div>'
        )
    return f"<fieldset><legend>{number}. {inline(question.text)}</legend>{''.join(rows)}</fieldset>"


def _as_text(questions: Sequence[Question]) -> str:
    lines, answers = [], []
    for number, question in enumerate(questions, 1):
        lines.append(f"{number}. {plain(question.text)}")
        letters = "abcdefgh"
        lines += [f"   {letters[index]}) {plain(choice)}" for index, (choice, _) in enumerate(question.choices)]
        answers.append(f"{number}{letters[question.right]} ({plain(question.choices[question.right][1])})")
    return "\n".join([*lines, f"Answers: {', '.join(answers)}"])
