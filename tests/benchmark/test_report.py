import re
from html.parser import HTMLParser

import pytest

from ferminet.benchmark.figures.style import render
from ferminet.benchmark.figures.systems import correlation
from ferminet.benchmark.references import References
from ferminet.benchmark.report import caption, render_report, summary_text
from ferminet.benchmark.story import headline


@pytest.fixture
def page(rows, references):
    return render_report(
        rows, references, {"correlation": render(correlation(rows, references), "svg")}
    )


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.addresses, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.addresses += [v for k, v in attrs if k in ("src", "href", "action", "data", "srcset")]
        if tag not in ("meta", "img", "br", "link", "input"):
            self.open.append(tag)
        assert tag not in ("script", "link", "iframe", "object")

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
    anchors = {address[1:] for address in parser.addresses if address.startswith("#")}
    assert all(f'id="{anchor}"' in page for anchor in anchors)


def test_the_story_comes_first_with_numbers_from_the_rows(page):
    head = page[: page.index("<main>")]
    assert "97.50(6) % of LiH" in head
    assert "2.1(1) mEh" in head
    assert "CCSD(T)/CBS has -5.73" in head
    assert "none flagged" in head


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
    assert "1 without an energy; 1 flagged (named below)" in page
    text = summary_text([*rows, bad, dead], references)
    assert "! LiH eq, ferminet, seed 9: suspicious" in text
    assert "- no energy: Be eq, ferminet, seed 9: failed" in text


def test_a_flagged_number_says_so_in_its_sentence(rows, references, make_vmc):
    doubtful = [
        {**row, "r_hat": 1.2} if (row["system"], row["geometry"], row["seed"]) in wrong else row
        for wrong in [{("LiH", "eq", 2), ("H4", "a90", 1)}]
        for row in rows
    ]
    recovered, along, curvature, count = headline(doubtful, references)
    assert recovered.endswith("; flagged: LiH (walkers disagree).")
    assert along.endswith("; flagged: a90 (walkers disagree).")
    assert curvature.endswith("; flagged: a90 (walkers disagree).")
    assert "2 flagged" in count
    assert not any("; flagged" in sentence for sentence in headline(rows, references)[:-1])


def test_one_run_is_singular(references, make_vmc):
    text = summary_text([make_vmc("He", -2.9, 1e-4)], references)
    assert "Of 1 run, every one" in text


def test_text_from_outside_is_escaped(references, make_vmc):
    evil = "<script>alert(1)</script>"
    rows = [make_vmc(evil, -1.0, 1e-4, n_electrons=2, deviations=[evil], device=evil)]
    page = render_report(rows, references, {})
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_report_of_nothing_is_a_page(references):
    assert "no rows" in render_report([], References(), {})
    assert "No rows." in summary_text([], references)


def test_captions_say_from_which_rows_and_settings(rows):
    text = caption("h4", rows)
    assert "From 15 runs: 512 walkers, 2000 training iterations" in text
    assert "FCI/cc-pVDZ" in text
    assert "From 15 runs" in caption("correlation", rows)
    assert "From 30 runs" in caption("training", rows)


def test_the_summary_is_a_short_aligned_table(rows, references):
    lines = summary_text(rows, references).splitlines()
    assert lines[0].split("  ")[0] == "system"
    assert set(lines[1]) == {"-"}
    assert len(lines[1]) <= 100
    assert re.search(
        r"^LiH +eq +-8\.06847\(5\) +2\.08\(5\) +exact +97\.50\(6\)$", "\n".join(lines), re.M
    )
    assert sum(line.startswith("H4") for line in lines) == 5


def test_many_systems_are_summarised_by_their_range(references, make_vmc):
    systems = ["He", "Li", "Be", "LiH"]
    rows = [make_vmc(s, references.best(s, "eq").energy + 1e-3, 1e-4) for s in systems]
    assert "of the correlation energy of" in summary_text(rows, references)
