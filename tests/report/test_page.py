"""The page as a file: read at a glance, valid, self-contained, whole or not there, and able to show less than everything."""

import json
import re
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree

import golden_page
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from ase import Atoms
from ase.build import bulk
from trees import changed

from bodyorder._checks import InputError
from bodyorder.analysis import combine
from bodyorder.engine import Sampling, decompose
from bodyorder.report import Picture, Report, Section, Table, render_report, write_report
from bodyorder.results import load_results, save_results
from bodyorder.results.tree import select

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """What a validator would look at: nesting, ids, references, and every address."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.references, self.addresses, self.tags = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        held = dict(attributes)
        assert len(held) == len(attributes), f"an attribute of <{tag}> stands twice"
        self.tags.append((tag, held))
        self.ids += [held["id"]] if "id" in held else []
        self.references += [held[name] for name in ("aria-labelledby", "for") if name in held]
        self.addresses += [
            value for name, value in attributes if name in ("src", "href", "xlink:href", "action", "data")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text(results):
    axes = plt.Figure().subplots()
    own = Section(
        "own", "Of <mine>", "a hint & more", ["said <so>"], [Picture("drawn", axes.figure, 'a "line"', "seen <b>")],
        [Table(pd.DataFrame({"<x>": [1.5, np.nan]}, pd.Index(["<a>", "b"], name="row")), "held & kept")],
        parts=[Section("", "A part", sentences=["more"])],
    )  # fmt: skip
    provenance = {"settings": {"seed": 7}, "hash": "</script>"}
    return render_report(Report("Clusters & <orders>", results, "many-body", [own], provenance))


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def part_of(text, name):
    start = text.index(f'<details id="{name}"')
    return text[start : text.index("</details>", start)]


def test_the_page_is_sound_html(text, page):
    assert text.startswith("<!DOCTYPE html>")
    assert len(set(page.ids)) == len(page.ids)
    assert set(page.references) <= set(page.ids)
    assert "<title>Clusters &amp; &lt;orders&gt;</title>" in text
    assert not re.search(r"{{|{%|VIEWER_DATA", re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))


def test_the_words_of_a_small_report_are_those_that_were_read_once():
    """What changed on purpose is written by ``python tests/shared/golden_page.py``."""
    assert golden_page.words(render_report(golden_page.report())) == golden_page.FILE.read_text(encoding="utf-8")


def test_the_top_is_one_figure_and_five_sentences_and_all_else_is_folded(text):
    top, rest = text.split('<div id="details">')
    assert top.count("<figure") == 1
    assert len(re.findall("<li>", top)) == 5
    assert "<table" not in top
    outside = re.sub(r"<details.*?</details>", "", rest[: rest.index("</main>")], flags=re.DOTALL)
    assert re.sub(r"<[^>]+>", "", outside).strip() == ""
    assert "<details open" not in text


def test_sections_of_callers_stand_among_the_others_and_are_escaped(text):
    own = part_of(text, "own")
    assert '<h2>Of &lt;mine&gt;</h2><span class="hint">a hint &amp; more</span>' in own
    assert "<li>said &lt;so&gt;</li>" in own
    assert "<figcaption>seen &lt;b&gt;</figcaption>" in own
    assert "a &#34;line&#34;</desc>" in own
    assert "<caption>held &amp; kept</caption>" in own
    assert '<th scope="row">&lt;a&gt;</th>' in own
    assert "<td>1.500</td>" in own
    assert "<td>—</td>" in own
    assert "<h3>A part</h3>" in own
    assert text.index('id="comparison"') < text.index('id="own"') < text.index('id="structures"')


def test_nothing_is_loaded_from_anywhere(text, page):
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    outside_scripts = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"url\(\s*['\"]?(?:https?:)?//|@import", outside_scripts)
    policy = next(held["content"] for tag, held in page.tags if held.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_figures_are_described_and_captioned(text, page):
    images = [held for tag, held in page.tags if tag == "svg" and held.get("role") == "img"]
    figures = [held["id"] for tag, held in page.tags if tag == "figure"]
    assert figures == [f"figure-{name}" for name in ("overview", "noise", "parity0", "parity1", "drawn", "onebody")]
    assert len(images) == len(figures) == text.count("<figcaption>")
    assert all(held["aria-labelledby"].removesuffix("-description") in held["aria-labelledby"] for held in images)
    described = re.findall(r'<desc id="[\w-]+">(.*?)</desc>', text)
    assert len(described) == len(figures)
    assert all(len(words) > 7 for words in described)


def test_figures_beside_each_other_share_no_ids(text):
    outside_scripts = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    for drawing in re.findall(r"<svg.*?</svg>", outside_scripts, re.DOTALL):
        ElementTree.fromstring(drawing)
        own = set(re.findall(r'\bid="([^"]+)"', drawing))
        used = re.findall(r'href="#([^"]+)"', drawing) + re.findall(r"url\(#([^)]+)\)", drawing)
        assert set(used) <= own
        assert "<metadata" not in drawing


def test_tables_have_captions_and_headings(text, page):
    n_tables = sum(tag == "table" for tag, _ in page.tags)
    assert n_tables == text.count("<caption>") >= 5
    assert all("scope" in held for tag, held in page.tags if tag == "th")


def test_settings_can_be_read_back(text):
    held = re.search(r"<pre>(.*?)</pre>", part_of(text, "provenance"), re.DOTALL).group(1)
    assert "&lt;/script&gt;" in held
    provenance = json.loads(unescape(held))
    assert provenance["provenance"]["settings"] == {"seed": 7}
    assert provenance["results"]["pairs"]["fingerprint"]


def without(result, *dims):
    return changed(result, lambda data: data.drop_dims(dims))


def test_a_saved_result_makes_the_same_page(results, tmp_path):
    again = load_results(save_results(results, tmp_path / "results.nc"))
    first, second = (render_report(Report("Clusters", held, "pairs")) for held in (results, again))
    assert first == second


def test_one_source_alone_makes_a_page(separate):
    page = Page(render_report(Report("Alone", separate["pairs"])))
    assert "comparison" not in page.ids
    assert {"summary", "orders", "truncation", "structures", "onebody", "provenance"} <= set(page.ids)


def test_one_structure_alone_makes_a_page(separate):
    one = select(separate["many-body"], ["low_000"])
    Page(render_report(Report("One", combine({"a": one, "b": one}), "a")))


def test_many_groups_have_panels_of_their_own_below(clusters):
    frames = [atoms.copy() for atoms in clusters]
    for index, atoms in enumerate(frames):
        atoms.info["group"] = f"set {index}"
    text = render_report(Report("Groups", decompose(frames, "analytic:pair?kind=morse", subsets=True)))
    assert re.findall(r'<figure id="figure-(\w+)"', text)[:4] == ["overview", "orders", "noise", "truncation"]
    assert all(f'<th scope="rowgroup" colspan="8">set {index}</th>' in part_of(text, "orders") for index in range(4))


def test_a_sample_is_said_to_be_one(clusters):
    source = "analytic:sutton-chen?epsilon=1.0&a=1.0&c=3.0&n=6&m=3"
    sampled = decompose(clusters[2:], source, sampling=Sampling(samples=5), max_order=3, subsets=True)
    text = render_report(Report("Sampled", sampled))
    assert "estimates from a sample" in text[: text.index("<figure")]
    assert "a sample of the sub-clusters does not tell" in part_of(text, "structures")
    Page(text)


def test_a_periodic_structure_makes_a_page():
    crystal = bulk("Cu", cubic=True)
    crystal.rattle(0.05, seed=1)
    result = decompose(crystal, "analytic:pair?kind=morse&r0=2.5&alpha=1.5&cutoff=3.2", max_order=3, subsets=True)
    text = render_report(Report("Crystal", result))
    assert "4 atoms" in text
    Page(text)


@pytest.mark.parametrize("max_order", [1, 2, 3])
def test_truncated_results_make_a_page(clusters, max_order):

    result = decompose(clusters, "analytic:axilrod-teller?nu=0.5", max_order=max_order, subsets=True)
    Page(render_report(Report("Truncated", combine({"a": result, "b": result}), "b")))


def test_results_without_subsets_make_a_page_that_says_so(results):
    text = render_report(Report("No subsets", without(results, "subset"), "pairs"))
    assert "the results hold no subsets" in text
    assert "chemiscope" not in text
    Page(text)


def test_bodies_that_are_molecules_are_not_called_atoms(clusters):

    result = decompose(clusters[:2], "analytic:pair?kind=morse", bodies="molecules", subsets=True)
    text = render_report(Report("Molecules", result))
    assert "eV per body" in text
    assert "per atom" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert "onebody" not in Page(text).ids


def noisy(result, sigma):
    """A result whose totals are known to ``sigma`` (eV), marked as a decomposition marks them."""
    own = result.copy(deep=True)
    own["noise"][:] = sigma
    own["above_noise"][:] = abs(own["contribution"].values) > 2 * sigma
    return own


def test_orders_within_their_noise_are_marked_with_a_legend(separate):
    one = without(select(separate["many-body"], ["high_001"]), "subset")
    sizes = abs(one["contribution"].values[0])
    result = noisy(one, np.median(sizes) / 1.5)
    above = result["above_noise"].values[0]
    assert 0 < above.sum() < len(above)
    assert (sizes[~above] > result["noise"].values[0, 0]).any()  # one is above 1σ
    text = render_report(Report("Noise", result))
    Page(text)
    table = part_of(text, "orders")
    cells = re.findall(r"<td( class=\"lost\")?>(~)?", table)[: len(above)]
    assert [bool(lost) for lost, _ in cells] == [bool(mark) for _, mark in cells] == [not heard for heard in above]
    assert "Grey with ~: not above twice its noise" in table


def test_results_that_do_not_say_what_is_above_their_noise_make_the_same_page(separate):
    results = {name: noisy(result, 0.5) for name, result in separate.items()}
    whole = render_report(Report("Old", results, "pairs"))
    for old in (("pairs",), tuple(results)):
        held = {
            name: changed(result, lambda data: data.drop_vars("above_noise")) if name in old else result
            for name, result in results.items()
        }
        assert render_report(Report("Old", held, "pairs")) == whole


def test_failures_are_listed_with_their_reasons(separate):
    def failing(data):
        reasons = np.array(["", "", "", "atoms 0, 1: SCF <not> converged"], dtype=object)
        known = (data["structure"] != "high_001") | (data["order"] < 3)
        return data.assign(contribution=data["contribution"].where(known), failure=("structure", reasons))

    report = Report("Failures", {"good": separate["many-body"], "bad": changed(separate["pairs"], failing)}, "good")
    text = render_report(report)
    Page(text)
    table = part_of(text, "failures")
    row = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd][^>]*>.*?</t[hd]>", table)[-4:]]
    assert row == ["bad", "high_001", "3, 4, 5", "atoms 0, 1: SCF &lt;not&gt; converged"]
    assert "1 structure of bad lacks contributions" in text[: text.index("<figure")]


def test_all_missing_makes_a_page(separate):
    def emptied(data):
        names = ("contribution", "total", "noise", "subset_contribution", "subset_energy", "force_contribution")
        missing = {name: xr.full_like(data[name], np.nan) for name in names}
        reasons = ("structure", np.array(["no convergence"] * 4, dtype=object))
        return data.assign(missing).assign(failure=reasons)

    results = {"good": separate["many-body"], "bad": changed(separate["pairs"], emptied)}
    for reference in results:
        Page(render_report(Report("Nothing", results, reference)))
    Page(render_report(Report("Nothing at all", results["bad"])))


def test_an_unknown_reference_writes_nothing(results, tmp_path):
    with pytest.raises(InputError, match=r"`reference` must be one of many-body, pairs, triples, got 'pair'.*'pairs'"):
        write_report(tmp_path / "report.html", Report("Clusters", results, "pair"))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(results, tmp_path):
    with pytest.raises(InputError, match=r"a report must go to a file that can be written, .*nowhere"):
        write_report(tmp_path / "nowhere" / "report.html", Report("Clusters", without(results, "subset")))
    (tmp_path / "report.html").write_text("old")
    written = write_report(tmp_path / "report.html", Report("Clusters", without(results, "subset")))
    assert written.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_results_with_and_without_subsets_are_shown_together():
    chain = Atoms("H4", positions=[[0.9 * place, 0, 0] for place in range(4)])
    kept, bare = decompose(chain, "analytic:pair", subsets=True), decompose(chain, "analytic:axilrod-teller")
    page = render_report(Report("chain", {"kept": kept, "bare": bare}, reference="bare"))
    assert "atoms coloured by their share of an order in kept" in page
