"""The page about a run: everything on it, nothing from elsewhere, and a browser shows it."""

import re
import shutil
from xml.etree import ElementTree

import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.curation.splitting import split_images
from db.records import Split
from learner.config import make_config
from learner.evaluation.per_image import read_results
from learner.reporting.plots import plot_ious
from learner.reporting.report import write_report
from learner.training.train import train_model

TINY = {"encoder": "resnet10t", "size": 32, "weights": "none", "batch_size": 8, "head_channels": 8, "device": "cpu",
        "epochs": 2}  # fmt: skip


@pytest.fixture
def trained(registry, phantoms):
    import_images(registry, ImportRequest(phantoms, "csv", keep_locations=0.6))
    split_images(registry, val=0.2, test=0.3)
    train_model(registry, make_config("default", TINY))
    return registry


def test_a_page_with_numbers_curves_and_galleries(trained, tmp_path):
    report = write_report(trained, tmp_path / "out")
    assert (report.run, report.split) == ("run-1", "test")
    assert {"history.svg", "confusion.svg", "curves.svg", "ious.svg", "worst.png", "best.png"} <= set(report.figures)
    page = report.page.read_text()
    sources = re.findall(r'src="([^"]+)"', page)
    assert sorted(sources) == sorted(report.figures)
    assert all((report.page.parent / name).stat().st_size > 500 for name in sources)
    assert "http" not in page.replace("http://www.w3.org", "")
    with trained.read() as tx:
        run = tx.runs.latest()
    rows = read_results(run.checkpoint, "test")
    assert len(rows) == report.n
    ious = [row.iou for row in rows if row.iou is not None]
    assert f"<td>localization iou</td><td>{sum(ious) / len(ious):.4f}</td>" in page
    right = [row.right for row in rows if row.right is not None]
    assert f"<td>classification accuracy</td><td>{sum(right) / len(right):.4f}</td>" in page
    ElementTree.parse(tmp_path / "out" / "ious.svg")
    of_val = write_report(trained, tmp_path / "val", split=Split.VAL)
    assert of_val.split == "val"


def test_a_page_shows_strata_and_what_the_model_looked_at(trained, tmp_path):
    report = write_report(trained, tmp_path / "out")
    page = report.page.read_text()
    assert "<td>class benign</td>" in page
    assert "<td>size medium</td>" in page
    assert any(name.endswith("-class.png") for name in report.figures)
    assert any(name.endswith("-lesion.png") for name in report.figures)


def test_a_classifier_has_no_page_about_places_and_is_compared_by_class(trained, tmp_path):
    train_model(trained, make_config("default", TINY | {"method": "classifier"}))
    report = write_report(trained, tmp_path / "out", run="run-2", against="run-1")
    assert "run-2 against run-1" in report.page.read_text()
    assert "resampling whole groups of images" in report.page.read_text()
    assert "<td>auc (" in report.page.read_text()
    assert "disagreements.png" in report.figures
    assert "ious.svg" not in report.figures
    assert "confusion.svg" in report.figures
    assert "<td>localization iou</td><td>-</td>" in report.page.read_text()


def test_the_same_numbers_give_the_same_figure(tmp_path):
    first, second = (plot_ious([0.1, 0.5, 0.9], tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert first == second


@pytest.mark.browser
def test_a_browser_shows_the_page(trained, tmp_path):
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("Chromium and its driver are not installed")
    selenium = pytest.importorskip("selenium.webdriver")
    report = write_report(trained, tmp_path / "out")
    options = selenium.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,3000",
                 f"--user-data-dir={tmp_path / 'profile'}"):  # fmt: skip
        options.add_argument(flag)
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(shutil.which("chromedriver")))
    try:
        driver.get(report.page.as_uri())
        pictures = driver.find_elements("tag name", "img")
        assert len(pictures) == len(report.figures)
        assert all(driver.execute_script("return arguments[0].naturalWidth", picture) > 50 for picture in pictures)
        driver.save_screenshot(str(tmp_path / "report.png"))
    finally:
        driver.quit()
