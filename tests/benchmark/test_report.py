import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ferminet.benchmark.figures import FIGURES
from ferminet.benchmark.figures.style import render
from ferminet.benchmark.figures.systems import correlation
from ferminet.benchmark.references import References
from ferminet.benchmark.registry import find_target
from ferminet.benchmark.report import figure_details, outcome, render_report, summary_text
from ferminet.benchmark.tables.build import contents_of
from ferminet.config import expand_runs, load_study

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page(rows, references):
    return render_report(
        rows, references, {"correlation": render(correlation(rows, references), "svg")}
    )


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.addresses, self.open, self.scripts = [], [], 0

    def handle_starttag(self, tag, attrs):
        self.addresses += [v for k, v in attrs if k in ("src", "href", "action", "data", "srcset")]
        if tag not in ("meta", "img", "br", "link", "input"):
            self.open.append(tag)
        assert tag not in ("link", "iframe", "object")
        self.scripts += tag == "script"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_loads_nothing(page):
    parser = _Links()
    parser.feed(page)
    assert parser.open == []
    assert parser.addresses
    assert all(address.startswith(("#", "data:")) for address in parser.addresses)
    assert not re.search(r"https?://|url\(|@import", page)
    assert "default-src 'none'" in page
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert parser.scripts == 1 and f"script-src 'sha256-{allowed}'\"" in page
    anchors = {address[1:] for address in parser.addresses if address.startswith("#")}
    assert all(f'id="{anchor}"' in page for anchor in anchors)


def test_the_page_opens_with_what_came_out_and_the_short_table(page):
    head, body = page.split("<main>")
    assert "30 runs: none without an energy, none flagged." in head
    assert body.index('id="summary"') < body.index("<img") < body.index('id="table-atoms"')
    first = body[body.index('id="summary"') : body.index("<img")]
    assert "97.50(6)" in first and "2.08(5)" in first
    assert "2.1(2)" in page[page.index("H4: derived quantities") :]


def test_each_table_and_figure_has_its_title_and_its_caption(page):
    assert "<strong>Correlation energy recovered.</strong> Correlation energy recovered per" in page
    for text in re.findall(r"<figcaption>.*?</strong>(.*?)</figcaption>", page):
        assert 1 <= len(re.findall(r"\.(?= |$)", text)) <= 2
    assert "<h3>All runs</h3>\n<p>All runs, one line per trained" in page
    assert "From 15 runs: 512 walkers, 2000 training iterations" in page


def test_provenance_settings_and_what_is_missing_are_there(page):
    for text in ("0123456789abcdef", "jax 0.10.2", "seeds 1, 2, 3", "512 walkers",
                 "a tuned step size", "systems: N2", "ionisation potentials", "−8.06847(5)"):  # noqa: RUF001  # fmt: skip
        assert text in page


def test_flags_and_gaps_are_listed(rows, references, make_vmc):
    bad = make_vmc("LiH", -8.09, 1e-4, seed=9, r_hat=1.2)
    dead = make_vmc("Be", None, None, seed=9, status="failed")
    page = render_report([*rows, bad, dead], references, {})
    assert "LiH eq, ferminet, seed 9" in page
    assert "R-hat is 1.200" in page
    assert "Be eq, ferminet, seed 9: failed" in page
    assert "32 runs: 1 without an energy, 1 flagged." in page
    text = summary_text([*rows, bad, dead], references)
    assert "! LiH eq, ferminet, seed 9: suspicious" in text
    assert "- no energy: Be eq, ferminet, seed 9: failed" in text


def test_the_outcome_counts_results_gaps_and_flags(rows, references, make_vmc, make_baseline):
    assert outcome(rows, references) == "30 runs: none without an energy, none flagged."
    doubtful = [make_vmc("He", -2.9, 1e-4, r_hat=1.2)]
    assert outcome(doubtful, references) == "1 run: none without an energy, 1 flagged."
    baselines = [make_baseline("He", "hf", -2.86), make_baseline("Be", "hf", None, status="failed")]
    assert outcome(baselines, references) == "2 conventional energies: 1 without a value."


def test_text_from_outside_is_escaped(references, make_vmc):
    evil = "<script>alert(1)</script>"
    rows = [make_vmc(evil, -1.0, 1e-4, n_electrons=2, deviations=[evil], device=evil)]
    page = render_report(rows, references, {})
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_a_report_of_nothing_is_a_page(references):
    assert "no rows" in render_report([], References(), {})
    assert "No rows." in summary_text([], references)


def test_details_state_the_number_of_runs_and_their_settings(rows):
    def text(name):
        target = find_target(name, FIGURES, contents_of(rows))
        assert target is not None
        return figure_details(target, rows)

    assert "From 15 runs: 512 walkers, 2000 training iterations" in text("h4")
    assert "FCI/cc-pVDZ" in text("h4")
    assert "From 15 runs" in text("correlation")
    assert "From 30 runs" in text("training")
    assert "runs" not in text("density")


def test_the_summary_is_a_short_aligned_table(rows, references):
    lines = summary_text(rows, references).splitlines()
    assert lines[0].split("  ")[0] == "system"
    assert set(lines[1]) == {"-", " "}
    assert len(lines[1]) <= 100
    assert re.search(
        r"^LiH +eq +-8\.06847\(5\) +2\.08\(5\) +exact +97\.50\(6\)$", "\n".join(lines), re.M
    )
    assert sum(line.startswith("H4") for line in lines) == 5


def test_settings_of_a_difference_to_the_paper_are_folded_away(rows, references, make_vmc):
    study = load_study(ROOT / "workflow" / "config" / "quickstart.yaml")
    settings = next(run for run in expand_runs(study) if run.system == "Li").settings()
    row = make_vmc("Li", -7.47, 3e-5, iterations=1200, details={"settings": settings})
    section = render_report([row], references, {}).split('<section id="paper">')[1]
    section, rest = section.split("</section>", 1)
    assert '<table id="above-paper">' in section
    assert "1,200 iterations (0.6 % of the paper&#39;s)" in section
    table, folded = section.split("</table>")
    assert "walkers 512 (4096)" not in table and "walkers 512 (4096): Li" in folded
    assert re.search(r"</summary>[^<]*walkers 512 \(4096\)", rest)
