"""The ``companion`` command: run experiments, say how far they are, pack and print their results, fetch data, find faults."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import companion
from companion import doctor


def _run(arguments: argparse.Namespace) -> None:
    from companion import experiments

    with _backend(arguments.backend):
        results = experiments.run(
            arguments.name,
            arguments.profile,
            arguments.workers,
            folder=arguments.folder,
            device=arguments.device,
            fresh=arguments.fresh,
            verbose=not arguments.quiet,
        )
    print(results.table())
    if results.profile == "smoke":
        print(
            f"Profile smoke: a few epochs on packaged samples, to see that it runs. No finding. `companion results "
            f"{arguments.name}` prints the recorded experiment; --profile laptop runs it, in hours."
        )


def _backend(name: str | None) -> AbstractContextManager[object]:
    """Return the context in which joblib uses a cluster: "ray" or "dask"; ``None`` is the machine's own processes."""
    if name is None:
        return nullcontext()
    from companion._extras import require

    joblib = require("joblib", extra="experiments")
    if name == "ray":
        require("ray.util.joblib", extra="cluster").register_ray()
    return joblib.parallel_config(backend=name)


def _status(arguments: argparse.Namespace) -> None:
    from companion import experiments
    from companion.data import DataNotFoundError
    from companion.experiments.status import said, status

    for name in [arguments.name] if arguments.name else experiments.names():
        options = {"folder": arguments.folder, "device": arguments.device, "measure": not arguments.quick}
        try:
            found = status(name, arguments.profile, **options)
        except DataNotFoundError as error:
            print(f"{name}: {str(error).splitlines()[0]}")
            continue
        times = [stage.seconds for stage in found]
        missing = sum(stage.missing for stage in found)
        left = "nothing is missing" if not missing else f"{missing} runs are missing"
        if missing and None not in times:
            left += f", about {said(sum(times))} on one process of this machine"
        print(f"{name}: {left}")
        for stage in found:
            print(f"  {stage}")


def _doctor(arguments: argparse.Namespace) -> int:
    return doctor.main()


def _pack(arguments: argparse.Namespace) -> None:
    from companion import experiments, results

    path = experiments.pack(
        arguments.name, arguments.profile, folder=arguments.folder, target=arguments.target, force=arguments.force
    )
    packed = results.load(arguments.name, folder=path.parent)
    print(f"{path} ({path.stat().st_size / 1e6:.2f} MB)")
    if not packed.complete:
        print("partial; missing:", *packed.missing, sep="\n  ")


def _results(arguments: argparse.Namespace) -> None:
    from companion import results

    for name in [arguments.name] if arguments.name else results.available():
        runs = results.load(name, folder=arguments.folder)
        made = runs.provenance
        print(runs.table(arguments.metric, baseline=arguments.baseline))
        versions = ", ".join(f"{part} {version}" for part, version in made["versions"].items())
        print(
            f"{made['runs']} runs, {made['seconds'] / 3600:.2f} h in all, on {made['device']}, until {made['date']}, {versions}\n"
        )


def _data(arguments: argparse.Namespace) -> None:
    from companion import data

    for split in ("train", "test"):
        part = data.load(arguments.name, split, sample=arguments.sample)
        print(f"{part.name} {part.split}: {len(part)} rows, {len(part.classes)} classes, sha256 {part.checksum[:16]}…")


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    top = argparse.ArgumentParser(
        prog="companion", description="Run, pack and read the experiments of Logits Under Control."
    )
    top.add_argument("--version", action="version", version=f"companion {companion.__version__}")
    commands = top.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="train what is missing of an experiment and print its table")
    run.add_argument("name", help="for example pon-mnist")
    run.add_argument(
        "--profile", choices=("smoke", "laptop", "gpu"), help="size; default COMPANION_PROFILE, then smoke"
    )
    run.add_argument("--workers", type=int, default=1, help="processes that train at once (more than one needs joblib)")
    run.add_argument("--folder", help="of raw results; default COMPANION_RUNS, then runs")
    run.add_argument("--device", help="cpu, cuda or mps; default cpu, and for the profile gpu what there is")
    run.add_argument("--backend", choices=("ray", "dask"), help="let joblib send the runs to an existing cluster")
    run.add_argument("--quiet", action="store_true", help="show no progress")
    run.add_argument("--fresh", action="store_true", help="train also what the recorded results already hold")
    run.set_defaults(action=_run)

    status = commands.add_parser("status", help="say what is done, what is missing, and how long the rest takes here")
    status.add_argument("name", nargs="?", help="all, if left out")
    status.add_argument("--profile", choices=("smoke", "laptop", "gpu"), default="laptop", help="size; default laptop")
    status.add_argument("--folder", help="of raw results; default COMPANION_RUNS, then runs")
    status.add_argument("--device", help="cpu, cuda or mps, as run would use it")
    status.add_argument("--quick", action="store_true", help="do not measure steps where no result tells the time")
    status.set_defaults(action=_status)

    pack = commands.add_parser("pack", help="write the compact results file from raw results")
    pack.add_argument("name")
    pack.add_argument("--profile", choices=("smoke", "laptop", "gpu"), default="laptop")
    pack.add_argument("--folder", help="of raw results; default COMPANION_RUNS, then runs")
    pack.add_argument("--target", help="folder to write to; default the package's own results")
    pack.add_argument(
        "--force", action="store_true", help="replace a file of another profile, or lose runs that it holds"
    )
    pack.set_defaults(action=_pack)

    results = commands.add_parser(
        "results", help="print recorded results: mean ± sd, paired differences with 95 %% intervals"
    )
    results.add_argument("name", nargs="?", help="all, if left out")
    results.add_argument("--metric", default="test_error")
    results.add_argument("--baseline", help="arm to take differences from; default the first")
    results.add_argument("--folder", help="where packed files lie; default the package's own results")
    results.set_defaults(action=_results)

    data = commands.add_parser(
        "data", help="load a data set (downloading it if need be), check it and say what it holds"
    )
    data.add_argument("name")
    data.add_argument("--sample", action="store_true", help="the sample that ships with the package")
    data.set_defaults(action=_data)

    check = commands.add_parser(
        "doctor", help="look at Python, PyTorch, device, extras, folders and data; say what to do"
    )
    check.set_defaults(action=_doctor)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; an error that the user can mend is one line and exit status 2."""
    chosen = parser().parse_args(arguments)
    try:
        return chosen.action(chosen) or 0
    except (ValueError, ImportError, OSError) as error:
        said = str(error) if isinstance(error, OSError) else error.args[0] if error.args else error
        print(f"companion: {said}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
