"""The comparison page as people use it, in a headless Chromium."""

import base64
import io
import json
import shutil
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
from PIL import Image

from errors import UserError
from imaging.resize import imresize
from tests.comparison_pages import MODEL, NAME, assert_close, make_comparison, write_page
from tests.conftest import make_photo, save_photo

BESIDE_HANDLE = 26  # pixels on either side that its knob covers


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A headless Chromium that logs its requests and its console."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if not (binary and driver):
        pytest.skip("chromium or chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
                     "disable-background-networking", "disable-component-update", "disable-sync",
                     f"user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)  # by path, so that none is looked for elsewhere
    with webdriver.Chrome(options=options, service=service) as browser:
        yield browser


@pytest.fixture(params=[(1200, 1000), pytest.param((520, 900), marks=pytest.mark.slow)],
                ids=lambda size: f"{size[0]}x{size[1]}")
def opened(request, browser, tmp_path):
    """A page of two images, opened in a window of each size: the browser, the second image's frame and comparison."""
    comparison = make_comparison(name=NAME)
    path = write_page(tmp_path, make_comparison(60, 80), comparison, figure=tmp_path / "figure.png")
    save_photo(tmp_path / "below" / f"sr {NAME}", comparison.sr)
    browser.set_window_size(*request.param)
    for log in ("performance", "browser"):
        browser.get_log(log)  # forgets what was before
    browser.get(path.as_uri())
    frame = browser.find_elements("css selector", ".frame")[1]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", frame)
    yield browser, frame, comparison
    assert browser.get_log("browser") == []
    assert requested(browser) <= {path.as_uri(), "data:"}


def requested(browser):
    """Returns the addresses that were asked for since the log was last read, data: URIs without their data."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    addresses = {message["params"]["request"]["url"] for message in messages
                 if message["method"] == "Network.requestWillBeSent"}
    assert addresses
    return {"data:" if address.startswith("data:") else address for address in addresses}


def screen(browser, frame):
    """Returns what is on the screen where the frame is."""
    box = browser.execute_script("const b = arguments[0].getBoundingClientRect();"
                                 "return [b.left, b.top, b.right, b.bottom].map(Math.round)", frame)
    return np.asarray(Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB").crop(box))


def assert_split_at(browser, frame, comparison, fraction):
    """Asserts that bicubic is on the screen left of the fraction of the frame's width, and SR right of it."""
    seen = screen(browser, frame)
    before, after = (np.asarray(Image.fromarray(image).resize(seen.shape[1::-1], Image.Resampling.BICUBIC))
                     for image in (imresize(comparison.lr, 4, "replicate"), comparison.sr))
    split = round(fraction * seen.shape[1])
    left, right = np.s_[2:-2, 2:max(split - BESIDE_HANDLE, 2)], np.s_[2:-2, split + BESIDE_HANDLE:-2]  # no mixed edge
    for side, image in ((left, before), (right, after)):
        if seen[side].size:
            assert_close(seen[side], image[side])
    value = frame.find_element("css selector", "[role=slider]").get_attribute("aria-valuenow")
    assert abs(int(value) - 100 * fraction) <= 1


@pytest.mark.slow
def test_the_handle_is_dragged_with_the_mouse(opened):
    from selenium.webdriver import ActionChains

    browser, frame, comparison = opened
    width, before = frame.size["width"], screen(*opened[:2])
    assert_split_at(browser, frame, comparison, 0.5)
    handle, offset = frame.find_element("css selector", ".handle"), round(0.3 * width)
    ActionChains(browser).move_to_element(handle).click_and_hold().move_by_offset(-offset, 9).perform()
    assert_split_at(browser, frame, comparison, 0.2)
    ActionChains(browser).move_by_offset(2 * offset, 0).release().move_by_offset(-40, 0).perform()
    assert_split_at(browser, frame, comparison, 0.8)
    assert np.abs(screen(browser, frame).astype(int) - before)[:, round(0.6 * width):round(0.7 * width)].mean() > 10
    other = browser.find_element("css selector", ".frame .handle")
    assert other.get_attribute("aria-valuenow") == "50"


@pytest.mark.slow
def test_the_handle_is_dragged_with_a_finger(opened):
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.interaction import POINTER_TOUCH
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    browser, frame, comparison = opened
    actions = ActionBuilder(browser, mouse=PointerInput(POINTER_TOUCH, "finger"))
    finger, quarter = actions.pointer_action, frame.size["width"] // 4
    finger.move_to(frame, 0, 0).pointer_down().move_to(frame, -quarter // 2, 3).move_to(frame, -quarter, 3).pointer_up()
    actions.perform()
    assert_split_at(browser, frame, comparison, 0.25)


@pytest.mark.slow
def test_the_handle_is_moved_with_the_keyboard(opened):
    from selenium.webdriver import ActionChains, Keys

    browser, frame, comparison = opened
    handle = frame.find_element("css selector", ".handle")
    browser.find_elements("css selector", "a")[1].send_keys(Keys.TAB)
    assert browser.switch_to.active_element == handle
    for keys, percent in ((Keys.ARROW_LEFT * 3, 47), (Keys.ARROW_RIGHT, 48), (Keys.PAGE_UP * 2, 68), (Keys.HOME, 0),
                          (Keys.ARROW_DOWN, 0), (Keys.END, 100), (Keys.PAGE_DOWN, 90)):
        ActionChains(browser).send_keys(keys).perform()
        assert handle.get_attribute("aria-valuenow") == str(percent)
        assert handle.get_attribute("aria-valuetext") == f"{percent}% bicubic"
        assert_split_at(browser, frame, comparison, percent / 100)


@pytest.mark.slow
def test_names_are_shown_as_text_and_links_lead_to_files(opened):
    browser, frame, _ = opened
    heading = browser.find_elements("css selector", "h2")[1]
    assert heading.text == NAME
    assert heading.find_elements("css selector", "*") == []
    assert NAME in frame.find_element("css selector", ".handle").get_attribute("aria-label")
    assert browser.title == f"Bicubic and {MODEL}"
    link = browser.find_elements("link text", "Super-resolved image")[1].get_attribute("href")
    with open(unquote(urlparse(link).path), "rb") as file:
        assert Image.open(file).size == (600, 520)


@pytest.mark.slow
def test_the_page_fits_its_window_in_light_and_in_dark(opened):
    browser, frame, _ = opened
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert frame.size["width"] == min(600, browser.execute_script("return document.querySelector('main').clientWidth")
                                      - 34)
    colours = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        colours.append(browser.execute_script(
            "return ['color', 'backgroundColor'].map(name => getComputedStyle(document.body)[name].match(/\\d+/)[0])"))
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    (ink, paper), (dark_ink, dark_paper) = [[int(value) for value in pair] for pair in colours]
    assert paper - ink > 150
    assert dark_ink - dark_paper > 150


@pytest.fixture(scope="module")
def enlarging_page(tmp_path_factory):
    """The address of a page of demo.py --page, with the smallest shipped model."""
    import keras

    import demo

    if keras.backend.backend() != "tensorflow":
        pytest.skip("TensorFlow writes the model of the page")
    for package in ("onnx", "tf2onnx", "onnxruntime"):
        pytest.importorskip(package, reason="requirements/export.txt is not installed")
    folder = tmp_path_factory.mktemp("page")
    args = demo.parse_args(["--page", "-o", str(folder), "-m", "wdsr-b-8-x2"])
    try:
        assert demo.main(args) == 0
    except UserError as error:
        if "cannot be downloaded" not in str(error):
            raise
        pytest.skip(f"the browser's runtime comes from a registry: {error}")
    assert (folder / "index.html").stat().st_size < 15e6
    return (folder / "index.html").as_uri()


def enlarged(browser, photo, drop):
    """Returns the image that the page in `browser` makes of a file, chosen or dropped, and what it says."""
    from selenium.webdriver.support.wait import WebDriverWait

    if drop:
        content = base64.b64encode(photo.read_bytes()).decode("ascii")
        browser.execute_script(
            "const files = new DataTransfer();"
            "const bytes = Uint8Array.from(atob(arguments[0]), character => character.charCodeAt(0));"
            "files.items.add(new File([bytes], arguments[1]));"
            "document.querySelector('label').dispatchEvent("
            "  new DragEvent('drop', {dataTransfer: files, bubbles: true, cancelable: true}))", content, photo.name)
    else:
        browser.find_element("css selector", "input").send_keys(str(photo))
    said = WebDriverWait(browser, 120).until(lambda browser: next(
        (line for line in [browser.find_element("css selector", "#status").text]
         if line.startswith((f"{photo.name}: ", "Not enlarged"))), None))
    address = browser.execute_script("return document.querySelector('canvas').toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("RGB")), said


@pytest.mark.slow
def test_a_photo_on_the_page_is_enlarged_as_demo_py_does_and_goes_nowhere(browser, enlarging_page, tmp_path):
    from super_resolution import load

    browser.get_log("performance")
    browser.get_log("browser")
    browser.get(enlarging_page)
    super_resolve = load("wdsr-b-8-x2")
    for height, width, drop in ((150, 301, True), (61, 5, False)):  # several tiles, and less than one
        lr = make_photo(height, width, seed=height)
        photo = save_photo(tmp_path / f"photo {width}.png", lr)
        sr, said = enlarged(browser, photo, drop)
        assert said.startswith(f"{photo.name}: {2 * width} x {2 * height} pixels, ")
        assert np.abs(sr - super_resolve.enlarge(lr).astype(int)).max() <= 1
        link = browser.find_element("css selector", "#link a")
        assert link.get_attribute("download") == f"photo {width}-sr.png"
    assert browser.get_log("browser") == []
    assert {address for address in requested(browser) if not address.startswith("blob:")} <= {enlarging_page, "data:"}


@pytest.mark.slow
def test_what_is_no_photo_is_said_on_the_page_and_the_next_photo_is_enlarged(browser, enlarging_page, tmp_path):
    browser.get(enlarging_page)
    (tmp_path / "text.png").write_text("no photo", encoding="utf-8")
    assert enlarged(browser, tmp_path / "text.png", True)[1].startswith("Not enlarged: ")
    sr, _ = enlarged(browser, save_photo(tmp_path / "photo.png", make_photo(9, 12)), True)
    assert sr.shape == (18, 24, 3)
