"""The page as a file: valid, self-contained, whole or not there, and able to show less than everything."""

import json
import re
from html import escape, unescape
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr

from bodyorder._checks import InputError
from bodyorder.analysis import combine, group_convergence
from bodyorder.engine import decompose
from bodyorder.report import Report, write_report
from bodyorder.report.html import render_report
from bodyorder.results.files import load, save

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
    report = Report(
        "Clusters & <orders>",
        results,
        "many-body",
        losses={"pairs": {"epoch": [1, 2], "training": [2.0, 1.0], "validation": [3.0, 2.0]}},
        provenance={"settings": {"seed": 7}, "hash": "</script>"},
    )
    return render_report(report)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_is_sound_html(text, page):
    assert text.startswith("<!DOCTYPE html>")
    assert len(set(page.ids)) == len(page.ids)
    assert set(page.references) <= set(page.ids)
    assert "<title>Clusters &amp; &lt;orders&gt;</title>" in text
    assert not re.search(r"\$\w+|VIEWER_DATA", re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))


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
    assert figures == [
        "figure-orders", "figure-truncation", "figure-scatter0", "figure-scatter1", "figure-onebody", "figure-loss",
    ]  # fmt: skip
    assert len(images) == len(figures) == text.count("<figcaption>")
    assert all(len(held["aria-label"]) > 40 for held in images)


def test_tables_have_captions_and_headings(text, page):
    n_tables = sum(tag == "table" for tag, _ in page.tags)
    assert n_tables == text.count("<caption>") >= 5
    assert all("scope" in held for tag, held in page.tags if tag == "th")


def test_order_totals_of_the_data_stand_in_the_table(text, results):
    convergence = group_convergence(results)
    table = text[text.index('<section id="orders"') :]
    table = table[table.index("<table>") : table.index("</table>")]
    written = re.findall(r">(−?\d+\.\d{3})(?:<span class=\"mark\">~</span>)?<small>", table)
    values = convergence["group_contribution"].transpose("group", "source", "order").values.ravel()
    assert [float(number.replace("−", "-")) for number in written] == pytest.approx(values, abs=5.1e-4)


def test_losses_are_drawn(text):
    section = text[text.index('<section id="training"') :]
    assert "Loss against epoch. pairs: training loss from 2 to 1." in section[: section.index("</section>")]


def test_settings_can_be_read_back(text):
    held = re.search(r"<pre>(.*?)</pre>", text[text.index('<section id="provenance"') :], re.DOTALL).group(1)
    assert escape("</script>") in held
    provenance = json.loads(unescape(held))
    assert provenance["provenance"]["settings"] == {"seed": 7}
    assert provenance["results"]["pairs"]["fingerprint"]


def test_a_saved_study_makes_the_same_page(results, tmp_path):
    again = load(save(results.assign_attrs(schema_version=1), tmp_path / "results.nc"))
    report = {name: render_report(Report("Clusters", held, "pairs")) for name, held in (("a", results), ("b", again))}
    assert report["a"] == report["b"]


def test_one_source_alone_makes_a_page(separate):
    page = Page(render_report(Report("Alone", separate["pairs"])))
    assert "comparison" not in page.ids
    assert {"summary", "orders", "truncation", "structures", "onebody", "provenance"} <= set(page.ids)


def test_one_structure_alone_makes_a_page(separate):
    result = separate["many-body"]
    one = result.isel(
        structure=[0], site=result["site_structure"].values == 0, subset=result["subset_structure"].values == 0
    )
    Page(render_report(Report("One", combine({"a": one, "b": one}), "a")))


@pytest.mark.parametrize("max_order", [1, 2, 3])
def test_truncated_results_make_a_page(clusters, max_order):

    result = decompose(clusters, "analytic:axilrod-teller?nu=0.5", max_order=max_order, subsets=True)
    Page(render_report(Report("Truncated", combine({"a": result, "b": result}), "b")))


def test_results_without_subsets_make_a_page_that_says_so(results):
    text = render_report(Report("No subsets", results.drop_dims("subset"), "pairs"))
    assert "the results hold no subsets" in text
    assert "<script>" not in text
    Page(text)


def test_bodies_that_are_molecules_are_not_called_atoms(clusters):

    result = decompose(clusters[:2], "analytic:pair?kind=morse", bodies="molecules", subsets=True)
    text = render_report(Report("Molecules", result))
    assert "eV per body" in text
    assert "per atom" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert "onebody" not in Page(text).ids


def noisy(result, sigma):
    """A result whose totals are known to ``sigma`` (eV), marked as a decomposition marks them."""
    noise = xr.full_like(result["contribution"], sigma)
    return result.assign(noise=noise, above_noise=abs(result["contribution"]) > 2 * noise)


def test_orders_within_their_noise_are_marked_with_a_legend(separate):
    one = separate["many-body"].isel(structure=[3]).drop_dims(("site", "subset"))
    sizes = abs(one["contribution"].values[0])
    result = noisy(one, np.median(sizes) / 1.5)
    above = result["above_noise"].values[0]
    assert 0 < above.sum() < len(above)
    assert (sizes[~above] > result["noise"].values[0, 0]).any()  # one is above 1σ
    text = render_report(Report("Noise", result))
    Page(text)
    table = text[text.index('<section id="orders"') :]
    table = table[table.index("<table>") : table.index("</table>")]
    cells = re.findall(r"<td>(.*?)</td>", table)[: len(above)]
    assert [cell.startswith('<span class="lost">') for cell in cells] == [not heard for heard in above]
    assert ['<span class="mark">~</span>' in cell for cell in cells] == [not heard for heard in above]
    assert "grey with ~: not above twice its noise" in table


def test_results_that_do_not_say_what_is_above_their_noise_make_the_same_page(separate):
    results = {name: noisy(result, 0.5) for name, result in separate.items()}
    whole = render_report(Report("Old", combine(results), "pairs"))
    assert "twice" in whole
    for old in (("pairs",), tuple(results)):
        held = {name: r.drop_vars("above_noise") if name in old else r for name, r in results.items()}
        assert render_report(Report("Old", combine(held), "pairs")) == whole


def test_failures_are_listed_with_their_reasons(separate):
    result = separate["pairs"].copy(deep=True)
    result["contribution"][3, 2:] = np.nan
    result["failure"] = ("structure", ["", "", "", "atoms 0, 1: SCF <not> converged"])
    text = render_report(Report("Failures", combine({"good": separate["many-body"], "bad": result}), "good"))
    Page(text)
    table = text[text.index('<section id="failures"') :]
    assert '<th scope="row">bad</th><th scope="row">high_001</th><td>3, 4, 5</td>' in table
    assert "SCF &lt;not&gt; converged" in table
    assert "1 of 4 structures lacks contributions (bad)" in text


def test_all_missing_makes_a_page(separate):
    result = separate["pairs"].copy(deep=True)
    for name in ("contribution", "total", "noise", "subset_contribution", "subset_energy", "force_contribution"):
        result[name][:] = np.nan
    result["failure"] = ("structure", ["no convergence"] * 4)
    Page(render_report(Report("Nothing", combine({"good": separate["many-body"], "bad": result}), "good")))
    Page(render_report(Report("Nothing", combine({"good": separate["many-body"], "bad": result}), "bad")))


def test_an_unknown_reference_writes_nothing(results, tmp_path):
    with pytest.raises(InputError, match=r"`reference` must be one of many-body, pairs, triples, got 'pair'.*'pairs'"):
        write_report(tmp_path / "report.html", Report("Clusters", results, "pair"))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(results, tmp_path):
    with pytest.raises(InputError, match=r"a report must go to a file that can be written, .*nowhere"):
        write_report(tmp_path / "nowhere" / "report.html", Report("Clusters", results.drop_dims("subset")))
    (tmp_path / "report.html").write_text("old")
    written = write_report(tmp_path / "report.html", Report("Clusters", results.drop_dims("subset")))
    assert written.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
