"""Sentences on the first recording, which the audit keeps beside the second."""

from __future__ import annotations

from collections.abc import Mapping

from companion import page
from companion.chapters.partial_output_norm.recorded import DECAY, METHOD, PAPER, PARTS, WITH_DECAY
from companion.page import Prose, say
from companion.results import Results


def say_rival(results: Results) -> Prose:
    """Compare the method without weight decay with tuned weight decay, or with its control where runs of that diverged."""
    control, _ = results.same_rate(WITH_DECAY, DECAY)
    lead = "The method without weight decay against tuned weight decay alone"
    return page.say_rival(results, METHOD, DECAY, lead=lead, control=control)


def say_graph_parts(recorded: Mapping[str, Results]) -> Prose:
    """Say what each part alone does on the graphs, and what the doubtful entry of Table 2 would change."""
    graphs = recorded["pon-graphs"]
    said = page.say_parts(graphs, PARTS)
    rows = {row.label: row for row in PAPER.table("Table 2").rows}
    suspect, copied = rows["Cora, GAT"], rows["Cora, GCN"].better.mean
    effects = [round(suspect.baseline.mean - error, 6) for error in (suspect.better.mean, copied)]
    words = [graphs["cora/gat"].compare(METHOD, "vanilla", effect=effect).word for effect in effects]
    if None in words:
        return said
    return say(
        said.markdown,
        f"For GAT on Cora the verdict *{words[0]}* takes the printed error {suspect.better.mean:.2f}; with the error that the "
        f"printed percentage asks for, {copied:.2f}, the paper's effect is {effects[1]:.2f} and the word is *{words[1]}*.",
    )


def say_in_one_line(results: Results) -> Prose:
    """State the main comparison on MNIST with its verdict, or why there is none and what the control says."""
    effect = next(c.effect for c in PAPER.contrasts if c.id == "pon-t1-mnist")
    lead = (
        f"In one line, on MNIST: the paper prints a gain of {effect:.2f} points for the method on top of weight decay;"
    )
    return page.say_in_one_line(results, WITH_DECAY, DECAY, lead=lead, effect=effect)
