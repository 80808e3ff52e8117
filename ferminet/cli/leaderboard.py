"""The commands of the leaderboard: start a submission, write the page."""

import argparse

from ferminet.cli.parser import AddCommand, add_paths


def add_commands(add: AddCommand) -> None:
    """Add new-submission and leaderboard."""
    text = "Start a submission to the leaderboard: rows, and a YAML file with blanks to fill."
    parser = add("new-submission", new_submission, text)
    parser.add_argument("submission", metavar="NAME", help="its folder in results/submissions")
    add_paths(parser, energies="rows of your runs alone")

    parser = add("leaderboard", leaderboard, "Write the leaderboard as a page and as JSON.")
    add_paths(parser, out_dir="folder for index.html and leaderboard.json")


def new_submission(options: argparse.Namespace) -> None:
    """Start a submission to the leaderboard."""
    from ferminet.benchmark.leaderboard.submission import new_submission

    folder = new_submission(options.submission, options.energies)
    print(
        f"{folder} is started. Fill in the blanks of {folder}/submission.yaml, then:\n"
        f"  ferminet verify {folder}\n  make leaderboard"
    )


def leaderboard(options: argparse.Namespace) -> None:
    """Write the leaderboard."""
    from ferminet.benchmark.leaderboard.page import write_leaderboard

    entries, results = write_leaderboard(options.out_dir)
    print(f"{options.out_dir}/index.html: {entries} entries, {results} results.")
