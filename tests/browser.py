# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The installed Chromium, for the journeys."

import os
import shutil
from contextlib import contextmanager

ARGUMENTS = [
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-gpu',
    '--disable-quic',
    '--disable-sync',
    '--headless',
    '--no-first-run',
    '--no-sandbox',
    ]
NAMES = ['chromium', 'chromium-browser', 'google-chrome']


def find_chromium():
    "Path of the browser, or None.  The environment's CHROMIUM comes first."
    if path := os.environ.get('CHROMIUM'):
        return path
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def open_browser():
    """A headless Chromium that speaks French; yields a function that opens a
    new context of Playwright, as a new user would."""
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=ARGUMENTS)
        try:
            yield lambda: browser.new_context(
                locale='fr-FR', timezone_id='Europe/Paris',
                viewport={'width': 1440, 'height': 900})
        finally:
            browser.close()
