"""The page in a real browser: it opens without a network, complains of nothing, and draws the structures."""

import re

import numpy as np
import pytest

from bodyorder.analysis import atom_shares
from bodyorder.report import Report, write_report


def only(section, page):
    """The same page with one section shown, so that a picture of it is a picture of that section."""
    text = page.read_text(encoding="utf-8")
    hidden = f"<style>main > section:not(#{section}), header {{ display: none }}</style></head>"
    alone = page.with_name(f"{section}.html")
    alone.write_text(text.replace("</head>", hidden, 1), encoding="utf-8")
    return alone


def choosing(page, structure, order, source):
    """The same page, in which somebody chooses a structure, an order and a source as soon as it is there."""
    script = f"""<script>(function wait() {{
      if (document.getElementById("viewer").dataset.state !== "ready") return setTimeout(wait, 50);
      const inputs = (root) => [...root.querySelectorAll("*")].flatMap(
        (found) => (found.matches("input[type=number]") ? [found] : []).concat(found.shadowRoot ? inputs(found.shadowRoot) : []));
      const change = (element, value) => {{ element.value = value; element.dispatchEvent(new Event("change")); }};
      change(inputs(document.getElementById("viewer-info"))[0], {structure});
      setTimeout(() => {{
        change(document.getElementById("viewer-order"), "{order}");
        change(document.getElementById("viewer-source"), "{source}");
      }}, 300);
    }})();</script></body>"""
    text = page.read_text(encoding="utf-8")
    chosen = page.with_name("chosen.html")
    chosen.write_text(script.join(text.rsplit("</body>", 1)), encoding="utf-8")
    return chosen


def atoms_of(picture):
    """The part of the picture where the atoms are: right of the map, left of the colour scale."""
    return picture[300:640, 540:930]


def counts(picture):
    """Pixels with a positive share (red), and with a negative one (blue)."""
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    reddish = (red > 100) & (red > green + 60) & (red > blue + 60)
    bluish = (blue > 100) & (blue > green + 60) & (blue > red + 60)
    return int(reddish.sum()), int(bluish.sum())


@pytest.fixture(scope="module")
def seen(results, browse, tmp_path_factory):
    page = write_report(tmp_path_factory.mktemp("page") / "report.html", Report("Clusters", results, "pairs"))
    return browse(only("structures", page))


def test_the_page_opens_without_a_message(seen):
    assert seen.messages == []
    assert 'id="viewer" data-state="ready"' in seen.document
    assert re.search(r'<p id="viewer-note"[^>]*hidden', seen.document)


def test_structures_are_drawn_with_their_atoms_coloured_by_their_shares(seen, results):
    shares = atom_shares(results)["atom_share"].sel(source="pairs", order=2)
    totals = results["contribution"].sel(source="pairs", order=2) / results["n_bodies"]
    first = int(np.abs(totals.values).argmax())
    assert (shares.values[results["site_structure"].values == first] < 0).all()
    reddish, bluish = counts(atoms_of(seen.picture))
    assert bluish > 500
    assert reddish == 0
    # shaded balls, not flat patches
    assert len(np.unique(atoms_of(seen.picture).reshape(-1, 3), axis=0)) > 100


def test_order_and_source_can_be_chosen(seen):
    choices = {
        name: re.findall(r"<option[^>]*>([^<]*)</option>", body)
        for name, body in re.findall(r'<select id="viewer-(\w+)">(.*?)</select>', seen.document, re.DOTALL)
    }
    assert choices == {"order": ["1", "2", "3", "4", "5"], "source": ["many-body", "pairs", "triples"]}


def test_atoms_follow_the_chosen_structure_order_and_source(results, browse, tmp_path):
    shares = atom_shares(results)["atom_share"].sel(source="many-body", order=3)
    assert (shares.values[results["site_structure"].values == 0] > 0).all()
    page = only("structures", write_report(tmp_path / "report.html", Report("Clusters", results, "pairs")))
    seen = browse(choosing(page, structure=0, order="3", source="many-body"))
    assert seen.messages == []
    reddish, bluish = counts(atoms_of(seen.picture))
    assert reddish > 500
    assert bluish == 0


def test_missing_shares_leave_the_page_working(separate, browse, tmp_path):
    result = separate["many-body"].copy(deep=True)
    result["contribution"][:, 1:] = np.nan
    result["subset_contribution"][result["subset_order"].values > 1] = np.nan
    result["failure"] = ("structure", ["did not converge"] * 4)
    page = write_report(tmp_path / "report.html", Report("Nothing above order 1", result))
    seen = browse(only("structures", page))
    assert seen.messages == []
    assert 'id="viewer" data-state="ready"' in seen.document
    assert re.search(r'<p id="viewer-note"[^>]*>This source has no contributions of this order', seen.document)
