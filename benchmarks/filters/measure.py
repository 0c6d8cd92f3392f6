"""Measure the filters on public data: `python benchmarks/filters/measure.py --data DIR --clone`.

Prints a Markdown table: for each filter and set the cases, the faulty ones, precision and recall, and beside
them the same of a simple baseline. `--half write` shows the half that rules are written by, `--wrong N` what
the filters get wrong there, `--groups` the figures of each language, model or format.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import repositories
from answers import make_strong
from cases import Case, CaseSet, choose_half
from contamination_sets import SETS as CONTAMINATION
from duplicate_sets import SETS as DUPLICATES
from injection_sets import SETS as INJECTIONS
from language_sets import SETS as LANGUAGE
from leak_sets import SETS as LEAKS
from private_sets import SETS as PRIVATE
from refusal_sets import SETS as REFUSALS
from repetition_sets import SETS as LOOPS
from truncated_sets import SETS as TRUNCATED

import multifaceted as mf

SETS: tuple[CaseSet, ...] = (
    *REFUSALS,
    *TRUNCATED,
    *LOOPS,
    *LEAKS,
    *INJECTIONS,
    *LANGUAGE,
    *PRIVATE,
    *DUPLICATES,
    *CONTAMINATION,
)


def find_hits(cases: Sequence[Case], reasons: Sequence[str] | None) -> pl.DataFrame:
    """Run the filters over cases: those they object to, with `position`, `reason` and `detail`."""
    frame = pl.DataFrame(
        {
            "prompt": [case.prompt for case in cases],
            "output": [case.output for case in cases],
        }
    )
    if any(case.system for case in cases):
        frame = frame.with_columns(system=pl.Series([case.system for case in cases]))
    return mf.find(frame, reasons)


def find_dropped(cases: Sequence[Case], chosen: CaseSet) -> pl.DataFrame:
    """Find what would be dropped: `position` and `detail`."""
    if chosen.find:
        found = pl.Series("position", chosen.find(cases), dtype=pl.Boolean).arg_true()
        return pl.DataFrame({"position": found, "detail": [""] * len(found)})
    hits = find_hits(cases, chosen.reasons).filter(pl.col("action") == "drop")
    return hits.group_by("position").agg(detail=pl.col("detail").first())


def score(faulty: pl.Series, found: pl.Series) -> str:
    """Write precision and recall, as two cells of a table."""
    right, hits, all_faulty = (int(part.sum()) for part in (faulty & found, found, faulty))
    shares = [f"{right / count:.2f}" if count else "-" for count in (hits, all_faulty)]
    return " | ".join(shares)


def measure(chosen: CaseSet, half: str) -> tuple[list[Case], pl.DataFrame]:
    """Look at one half of a set: its cases, and `faulty`, `found`, `baseline`, `group`, `detail` of each."""
    cases = choose_half(chosen.make(), half)
    hits = find_dropped(cases, chosen)
    frame = pl.DataFrame(
        {
            "position": pl.int_range(len(cases), dtype=pl.UInt32, eager=True),
            "faulty": [case.faulty for case in cases],
            "baseline": [chosen.baseline(case) for case in cases],
            "group": [case.group for case in cases],
        }
    )
    frame = frame.join(hits, on="position", how="left", maintain_order="left")
    return cases, frame.with_columns(found=pl.col("position").is_in(hits["position"].implode()))


def show_wrong(cases: list[Case], frame: pl.DataFrame, count: int) -> None:
    """Print some cases that were missed, and some that should have passed."""
    for title, wanted in (("missed", pl.col("faulty")), ("should pass", ~pl.col("faulty"))):
        wrong = frame.filter((pl.col("faulty") != pl.col("found")) & wanted)
        for row in wrong.sample(min(count, wrong.height), seed=1).iter_rows(named=True):
            case = cases[row["position"]]
            text = f"{case.output[:300]} […] {case.output[300:][-200:]}"
            print(f"--- {title} [{case.group}] {row['detail'] or ''}\nQ: {case.prompt[:150]!r}\nA: {text!r}")


def show_strong(half: str) -> None:
    """Print what all filters together drop of the answers of strong models, by reason."""
    cases = choose_half(make_strong(), half)
    hits = find_hits(cases, None).filter(pl.col("action") == "drop")
    print(f"| reason | of {len(cases):,} answers | share |\n| --- | --- | --- |")
    reasons = hits.group_by("reason").agg(pl.col("position").n_unique()).sort("position", descending=True)
    for reason, count in [*reasons.iter_rows(), ("any", hits["position"].n_unique())]:
        print(f"| {reason} | {count} | {count / len(cases):.2%} |")
    for hit in hits.filter(~pl.col("reason").is_in(["refusal", "boilerplate"])).iter_rows(named=True):
        print(f"{hit['reason']}: {hit['detail']!r} in answer to {cases[hit['position']].prompt[:80]!r}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("filter-data"), help="the folder of the clones")
    parser.add_argument("--clone", action="store_true", help="clone what is not there, from GitHub")
    parser.add_argument("--only", action="append", help="a filter or a set; may be repeated")
    parser.add_argument("--half", choices=("report", "write", "all"), default="report")
    parser.add_argument("--strong", action="store_true", help="what is dropped of strong models' answers")
    parser.add_argument("--groups", action="store_true")
    parser.add_argument("--wrong", type=int, default=0, metavar="N")
    options = parser.parse_args()
    repositories.use_folder(options.data)
    if options.clone:
        repositories.clone_missing()
    if options.strong:
        show_strong(options.half)
        return
    print("| filter | data | labels | n | faulty | precision | recall | baseline precision | recall |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for chosen in SETS:
        if options.only and not {chosen.name, *chosen.reasons} & set(options.only):
            continue
        cases, frame = measure(chosen, options.half)
        groups = [("", frame)]
        if options.groups:
            groups += [(f", {name}", part) for (name,), part in sorted(frame.group_by("group"))]
        for name, part in groups:
            cells = [" + ".join(chosen.reasons), chosen.name + name, chosen.rule, f"{part.height:,}"]
            cells += [f"{part['faulty'].sum():,}", score(part["faulty"], part["found"])]
            print("|", " | ".join([*cells, score(part["faulty"], part["baseline"])]), "|", flush=True)
        show_wrong(cases, frame, options.wrong)


if __name__ == "__main__":
    main()
