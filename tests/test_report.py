"""Reports: what they say, that they need nothing but themselves, that nothing in them is taken for HTML, and that they run."""

import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from known_spectra import hydrogen, oscillator, trained
from matplotlib import pyplot as plt

import qspin
import qspin.draw.report
from qspin.draw.report import report
from qspin.problem.domain import Nodes
from qspin.run import run_folder
from qspin.spectrum.notes import Note

EVIL = '<script>alert("1")</script> & "quoted" \'name\''
VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """The page as a list of elements with their text; fails where tags do not match."""

    def __init__(self, source):
        super().__init__()
        self.source, self.elements, self.open = source, [], []
        self.feed(source)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "attrs": dict(attrs), "text": "", "within": [e["tag"] for e in self.open]}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1]["tag"] == tag, f"</{tag}> closes {self.open[-1]['tag']}"
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag):
        return [e for e in self.elements if e["tag"] == tag]

    def texts(self, tag):
        return [" ".join(e["text"].split()) for e in self.all(tag)]


def read(path):
    return Page(path.read_text(encoding="utf-8"))


def check_alone(page):
    """No address but of data and of places on the page itself; no frames, no imports of style."""
    ids = [e["attrs"]["id"] for e in page.elements if "id" in e["attrs"]]
    assert max(Counter(ids).values()) == 1
    for element in page.elements:
        assert element["tag"] not in {"iframe", "object", "embed", "base", "form"}
        for name in ("src", "href", "srcset", "action", "poster", "data", "background", "xlink:href"):
            address = element["attrs"].get(name, "data:")
            assert address.startswith(("data:", "#")), f"<{element['tag']} {name}={address[:60]!r}>"
            assert not address.startswith("#") or address[1:] in ids, f"{address} leads nowhere"
        assert not re.search(r"url\(|@import|https?:|//", element["attrs"].get("style", ""))
    for text in page.texts("style") + page.texts("script"):
        assert not re.search(r"url\(|@import|https?:|//|import\(|fetch\(|XMLHttp", text)
    (policy,) = [e for e in page.all("meta") if "http-equiv" in e["attrs"]]
    assert policy["attrs"]["content"].startswith("default-src 'none'")


def check_accessible(page):
    assert page.all("html")[0]["attrs"]["lang"] == "en"
    assert len(page.all("h1")) == 1 and page.texts("title") != [""]
    assert all(e["attrs"].get("alt") for e in page.all("img"))
    assert len(page.all("caption")) == len(page.all("table"))
    named = {e["attrs"].get("for") for e in page.all("label")}
    assert all(e["attrs"]["id"] in named for e in page.all("input"))
    ids = {e["attrs"].get("id") for e in page.elements}
    assert all(e["attrs"]["aria-labelledby"] in ids for e in page.all("section"))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run folder as `qspin solve` leaves it, two states of which did not converge, and a reference that differs."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    folder.mkdir()
    problem = qspin.Problem(
        qspin.Kinetic() + qspin.Potential(qspin.potentials.harmonic(1.0)),
        qspin.Box.cube(7.0, dim=1),
        exact=qspin.exact.harmonic(1.0, dim=1),
        name=EVIL,
    )
    grid = qspin.solve(problem, 3, qspin.Grid())
    steps = np.arange(1, 30)
    spectrum = replace(
        grid,
        method="spin",
        energies=grid.energies + np.array([0, 1e-3, 0.1]),
        errors=np.array([1e-9, 2e-3, 1e-2]),
        converged=np.array([True, False, False]),
        notes=(Note("tolerance", (), "try <more> steps"),),
        history={"step": steps, "energies": grid.energies + np.exp(-steps / 5)[:, None]},
    )
    spectrum.save(folder / "spectrum.npz")
    grid.save(folder / "grid.npz")
    settings = '[problem]\nfile = "a & b.py"\n[method]\nsteps = 29\n[method.network]\nhidden = [32, 32]\n'
    (folder / "settings.toml").write_text(settings + '[made_with]\nqspin = "0"\n')
    run_folder.report(folder)
    return folder


def test_a_run_is_reported(run):
    page = read(run / "report.html")
    check_alone(page)
    check_accessible(page)
    assert page.texts("h2") == [
        "Energies",
        "Orbitals",
        "One state",
        "Levels and comparison",
        "Training",
        "Settings and provenance",
    ]
    text = page.all("main")[0]["text"]
    assert "NOT CONVERGED: states 1, 2. Try <more> steps." in text
    assert (
        "Against grid: 1 of 3 levels agree within three combined errors, 1 differs, of 1 nothing can be told."
        in text
    )
    assert "DIFFERS: state 2." in text
    assert "DIFFERS by 10.0 errors" in text
    # orbitals, one a state, levels, overlaps, training
    assert len(page.all("img")) == 1 + 3 + 1 + 1 + 1
    cells = page.texts("td") + page.texts("th")
    for shown in ("converged", "1.5010", "+1.0e-03", "a & b.py", "method.network.hidden", "[32, 32]"):
        assert shown in cells, shown
    assert "none" not in cells, "what was left to its default is left out"
    assert not plt.get_fignums()


def test_what_users_write_is_never_html(run):
    source = (run / "report.html").read_text(encoding="utf-8")
    page = Page(source)
    assert page.texts("h1") == [EVIL]
    assert "<script>alert" not in source and "<more>" not in source
    assert len(page.all("script")) == 1
    assert all(EVIL in e["attrs"]["alt"] for e in page.all("img"))


def test_the_same_run_gives_the_same_page(run):
    before = (run / "report.html").read_bytes()
    assert run_folder.report(run).read_bytes() == before


def test_against_exact_energies(tmp_path):
    spectrum = oscillator(3, 1, exact=np.array([0.5, 1.5, 2.4, 3.5]), units="eV")
    page = read(report(spectrum, tmp_path / "new" / "page.html"))
    check_alone(page)
    text = page.all("main")[0]["text"]
    assert "All states converged." in text and "energies in eV" in text
    assert "2.4" in page.texts("td") and "+1.0e-01" in page.texts("td")
    assert "Training" not in page.texts("h2")


def test_two_and_three_dimensions(tmp_path, monkeypatch):
    flat = trained(oscillator, 3, 2, rows=20)
    page = read(report(flat, tmp_path / "2.html", reference=oscillator(3, 2)))
    check_alone(page)
    assert len(page.all("img")) == 1 + 3 + 1 + 1 + 1, "with a matrix of overlaps, compared on the way"
    monkeypatch.setattr(qspin.draw.report, "MOST_STATES", 1)
    solid = replace(hydrogen(), name="hydrogen")
    page = read(report(solid, tmp_path / "3.html"))
    assert any("70 % of the probability" in caption for caption in page.texts("figcaption"))


def test_one_state_and_no_name_of_a_method(tmp_path):
    page = read(report(oscillator(1, 1, method=""), tmp_path / "1.html"))
    check_alone(page)
    assert "1 state by an unnamed method" in page.all("main")[0]["text"]
    assert len(page.all("img")) == 2


def test_functions_that_live_in_no_box(tmp_path):
    spectrum = replace(oscillator(2, 1), domain=Nodes(np.ones((4, 1))))
    page = read(report(spectrum, tmp_path / "nodes.html"))
    assert "These functions live on Nodes, not in a box" in page.all("main")[0]["text"]
    assert len(page.all("img")) == 1


def test_of_very_many_states_the_first_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(qspin.draw.report, "MOST_STATES", 2)
    page = read(oscillator(4, 1).report(tmp_path / "many.html"))
    check_alone(page)
    assert "The first 2 of 4 states are drawn." in page.all("main")[0]["text"]
    assert len(page.all("img")) == 1 + 2 + 1


def test_wrong_folders(tmp_path, run):
    with pytest.raises(FileNotFoundError, match=r"report: .* is not a run folder: it has no spectrum\.npz"):
        run_folder.report(tmp_path)
    shutil.copy(run / "spectrum.npz", tmp_path)
    (tmp_path / "settings.toml").write_text("[problem")
    with pytest.raises(ValueError, match=r"report: .*settings.toml cannot be read"):
        run_folder.report(tmp_path)


# --- in a browser

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)

CLICKS = """
const say = (name, value) => { document.body.dataset[name] = value; };
const visible = () => [...document.querySelectorAll(".selector figure")].flatMap((f, i) => f.hidden ? [] : [i]).join();
const column = () => [...document.querySelectorAll("#energies tbody td:first-child")].map(c => c.textContent).join();
say("first", visible());
document.querySelector("button[data-step='1']").click();
say("next", visible());
document.querySelector("a[href='#state-2']").click();
say("linked", visible() + document.querySelector(".selector output").textContent);
document.querySelector("button[data-step='1']").click();
say("last", visible());
const head = document.querySelectorAll("#energies thead th")[2];
head.firstChild.click();
say("up", column());
head.firstChild.click();
say("down", column() + head.getAttribute("aria-sort"));
"""


def browse(path, profile):
    """The page after its scripts ran, and what they said on the console."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={profile}", "--no-first-run", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=100)
    if "<html" not in done.stdout:
        pytest.skip(f"{BROWSER} does not start here: {done.stderr[-200:]}")
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_it_runs_in_a_browser(run, tmp_path):
    source = (run / "report.html").read_text(encoding="utf-8")
    clicked = tmp_path / "clicked.html"
    clicked.write_text(source.replace("</body>", f"<script>{CLICKS}</script></body>"), encoding="utf-8")
    dom, said = browse(clicked, tmp_path / "profile")
    assert said == []
    (body,) = re.findall("<body[^>]*>", dom)
    heard = dict(re.findall(r'data-(\w+)="([^"]*)"', body))
    assert heard == {
        "ready": "yes",
        "first": "0",
        "next": "1",
        "linked": "22",
        "last": "2",
        "up": "0,1,2",
        "down": "2,1,0descending",
    }
