"""The page in a real browser: it opens without a network, complains of nothing, and draws the structures."""

import json
import re
from html import unescape

import numpy as np
import pytest
from trees import changed

from bodyorder.analysis import atom_shares
from bodyorder.report import Report, write_report


def only(section, page):
    """The same page with one section shown, so that a picture of it is a picture of that section."""
    text = page.read_text(encoding="utf-8")
    hidden = f"<style>#summary, details:not(#{section}), header, summary {{ display: none }}</style></head>"
    alone = page.with_name(f"{section}.html")
    text = text.replace("</head>", hidden, 1).replace(f'<details id="{section}">', f'<details id="{section}" open>')
    alone.write_text(text, encoding="utf-8")
    return alone


def with_script(page, name, script):
    """The same page with a script at its end."""
    text = page.read_text(encoding="utf-8")
    changed = page.with_name(name)
    changed.write_text(f"<script>{script}</script></body>".join(text.rsplit("</body>", 1)), encoding="utf-8")
    return changed


def choosing(page, structure, order, source):
    """The same page, in which somebody chooses a structure, an order and a source as soon as it is there."""
    script = f"""(function wait() {{
      if (document.getElementById("viewer").dataset.state !== "ready") return setTimeout(wait, 50);
      const inputs = (root) => [...root.querySelectorAll("*")].flatMap(
        (found) => (found.matches("input[type=number]") ? [found] : []).concat(found.shadowRoot ? inputs(found.shadowRoot) : []));
      const change = (element, value) => {{ element.value = value; element.dispatchEvent(new Event("change")); }};
      change(inputs(document.getElementById("viewer-info"))[0], {structure});
      setTimeout(() => {{
        change(document.getElementById("viewer-order"), "{order}");
        change(document.getElementById("viewer-source"), "{source}");
      }}, 300);
    }})();"""
    return with_script(page, "chosen.html", script)


def atoms_of(picture):
    """The part of the picture where the atoms are: right of the map, left of the colour scale."""
    return picture[300:640, 540:930]


def counts(picture):
    """Pixels with a positive share (red), and with a negative one (blue)."""
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    reddish = (red > 100) & (red > green + 60) & (red > blue + 60)
    bluish = (blue > 100) & (blue > green + 60) & (blue > red + 60)
    return int(reddish.sum()), int(bluish.sum())


#: What a reader does who unfolds everything and then goes from one thing to the next with the keyboard. Chromium gives scripts
#: no Tab key; what it would reach is what takes the focus and is seen.
WALK = """addEventListener("load", async () => {
  const folded = [...document.querySelectorAll("details")];
  const open = folded.filter((part) => part.open).map((part) => part.id);
  const heads = folded.map((part) => part.querySelector("summary"));
  const reached = heads.filter((head) => { head.focus(); return document.activeElement === head && head.tabIndex === 0; });
  const outline = (head) => { head.focus({ focusVisible: true }); return getComputedStyle(head).outlineStyle; };
  const outlined = reached.every((head) => outline(head) !== "none");
  for (const head of heads) head.click();
  await new Promise((done) => setTimeout(done, 200));
  const scrolled = ".table, .drawing";
  const outside = (part) => part.getBoundingClientRect().right > innerWidth + 1 && !part.closest(`${scrolled}, #viewer`);
  const wide = [...document.querySelectorAll("main *")].filter(outside).map((part) => part.tagName);
  const scrollers = [...document.querySelectorAll(scrolled)].filter((part) => part.scrollWidth > part.clientWidth + 1);
  parent.postMessage(JSON.stringify({
    open, ids: folded.map((part) => part.id), reached: reached.map((head) => head.parentElement.id), outlined,
    opened: folded.filter((part) => part.open).length, width: document.documentElement.scrollWidth, inner: innerWidth,
    wide,
    unreachable: scrollers.filter((part) => part.tabIndex !== 0).length,
    ground: getComputedStyle(document.documentElement).backgroundColor,
  }), "*");
});"""


@pytest.fixture(scope="module")
def page(results, tmp_path_factory):
    return write_report(tmp_path_factory.mktemp("page") / "report.html", Report("Clusters", results, "pairs"))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1400])
def test_everything_is_reached_with_the_keyboard_and_nothing_is_wider_than_the_window(page, browse, width, dark):
    walked = with_script(page, f"walk{width}{dark}.html", WALK)
    # Chromium's window is at least 500 wide, a frame is not
    framed = page.with_name(f"frame{width}{dark}.html")
    relay = "onmessage = (event) => { document.body.dataset.found = event.data; }"
    framed.write_text(
        f'<body style="margin: 0"><script>{relay}</script>'
        f'<iframe src="{walked.name}" style="border: 0; width: {width}px; height: 880px"></iframe></body>'
    )
    seen = browse(framed, (max(width, 500), 900), dark)
    assert seen.messages == []
    found = json.loads(unescape(re.search(r'data-found="([^"]*)"', seen.document).group(1)))
    assert found["inner"] == width
    assert found["open"] == []
    assert found["reached"] == found["ids"]
    assert found["outlined"]
    assert found["opened"] == len(found["ids"]) >= 7
    assert (found["width"], found["wide"], found["unreachable"]) == (width, [], 0)
    red, green, blue = map(int, re.findall(r"\d+", found["ground"])[:3])
    assert (red + green + blue < 150) if dark else (red + green + blue > 700)


def test_the_first_screen_holds_the_answers_and_the_figure(page, browse):
    picture = browse(page, (1400, 1100)).picture
    colours = {tuple(colour) for colour in picture[420:, 100:1300].reshape(-1, 3)[::7]}
    assert (0, 0, 0) in colours  # the reference
    assert (0x00, 0x72, 0xB2) in colours  # the first of the others


@pytest.fixture(scope="module")
def seen(page, browse):
    return browse(only("structures", page))


def test_the_page_opens_without_a_message(seen):
    assert seen.messages == []
    assert 'id="viewer" data-state="ready"' in seen.document
    assert re.search(r'<p id="viewer-note"[^>]*hidden', seen.document)


def test_structures_are_drawn_with_their_atoms_coloured_by_their_shares(seen, results):
    shares = atom_shares(results)["atom_share"].sel(source="pairs", order=2)
    totals = results["contribution"].sel(source="pairs", order=2) / results["n_bodies"]
    first = int(np.abs(totals.values).argmax())
    assert (shares.values[results["sites"]["site_structure"].values == first] < 0).all()
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
    assert (shares.values[results["sites"]["site_structure"].values == 0] > 0).all()
    page = only("structures", write_report(tmp_path / "report.html", Report("Clusters", results, "pairs")))
    seen = browse(choosing(page, structure=0, order="3", source="many-body"))
    assert seen.messages == []
    reddish, bluish = counts(atoms_of(seen.picture))
    assert reddish > 500
    assert bluish == 0


def test_missing_shares_leave_the_page_working(separate, browse, tmp_path):
    def lacking(data):
        reasons = ("structure", np.array(["did not converge"] * 4, dtype=object))
        known, own = data["order"] < 2, data["subset_order"] < 2
        found = data.assign(contribution=data["contribution"].where(known), failure=reasons)
        return found.assign(subset_contribution=data["subset_contribution"].where(own))

    result = changed(separate["many-body"], lacking)
    page = write_report(tmp_path / "report.html", Report("Nothing above order 1", result))
    seen = browse(only("structures", page))
    assert seen.messages == []
    assert 'id="viewer" data-state="ready"' in seen.document
    assert re.search(r'<p id="viewer-note"[^>]*>This source has no contributions of this order', seen.document)
