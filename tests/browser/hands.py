"""A person at the review page, with a mouse and a keyboard."""

from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from annotator.label_studio.payload.labeling_config import NO_LESION, NOTHING_THERE
from db.records import Box
from tests.browser.conftest import place_of, press, wait_for

PROPOSED = Box(60, 60, 50, 40)
"""The proposal; a phantom is 145 pixels or more a side."""
ELSEWHERE = Box(10, 10, 30, 30)


class Reviewer:
    """One person at the page, with a mouse and a keyboard."""

    def __init__(self, page, image):
        self.page = page
        self.image = image

    def at(self, x, y):
        """Where a point of the image is in the window."""
        place = place_of(self.page)
        return place["x"] + x / self.image.width * place["width"], place["y"] + y / self.image.height * place["height"]

    def drag(self, start, end):
        """Drag from one point of the image to another, in steps, as a hand does."""
        (x0, y0), (x1, y1) = self.at(*start), self.at(*end)
        actions = ActionChains(self.page, duration=40)
        actions.w3c_actions.pointer_action.move_to_location(round(x0), round(y0))
        actions.w3c_actions.pointer_action.pointer_down()
        for part in (0.25, 0.5, 0.75, 1):
            actions.w3c_actions.pointer_action.move_to_location(
                round(x0 + part * (x1 - x0)), round(y0 + part * (y1 - y0))
            )
        actions.w3c_actions.pointer_action.pointer_up()
        actions.perform()

    def click(self, x, y):
        """Click on a point of the image."""
        left, top = self.at(x, y)
        actions = ActionChains(self.page, duration=40)
        actions.w3c_actions.pointer_action.move_to_location(round(left), round(top))
        actions.w3c_actions.pointer_action.click()
        actions.perform()

    def key(self, *keys):
        """Press keys, one after the other."""
        ActionChains(self.page).send_keys(*keys).perform()

    def middle(self):
        """The middle of the proposal."""
        return PROPOSED.x + PROPOSED.width / 2, PROPOSED.y + PROPOSED.height / 2

    def submit(self):
        """Submit with the keyboard."""
        ActionChains(self.page).key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()

    def leave(self):
        """Do nothing to the box."""

    def move(self):
        """Drag the box aside."""
        x, y = self.middle()
        self.click(x, y)
        self.drag((x, y), (x + 20, y + 10))
        self.key(Keys.ESCAPE)

    def delete(self):
        """Select the box and delete it."""
        self.click(*self.middle())
        self.key(Keys.BACKSPACE)

    def draw(self):
        """Draw another box beside the proposal."""
        self.drag((ELSEWHERE.x, ELSEWHERE.y), (ELSEWHERE.x + ELSEWHERE.width, ELSEWHERE.y + ELSEWHERE.height))
        self.key(Keys.ESCAPE)

    def choose(self, verdict):
        """Click a verdict."""
        verdict = NOTHING_THERE if verdict == NO_LESION else verdict
        label = f"//*[normalize-space(text())='{verdict}']"
        wait_for(lambda: self.page.find_elements("xpath", label))
        self.page.find_element("xpath", label).click()

    def answer(self, box, verdict, pictures, *, button):
        """Do something to the box, choose a verdict if there is one, and send it."""
        getattr(self, box)()
        if verdict is not None:
            self.choose(verdict)
        self.page.save_screenshot(str(pictures / "review-page.png"))  # to look at when this fails
        press(self.page, button)

    def settle(self):
        """Wait until the image keeps its place on the page."""
        last = None

        def still():
            nonlocal last
            before, last = last, place_of(self.page)
            return before == last

        wait_for(still)
