# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"A user in front of the web client: what the journeys say of it."
import re

from playwright.sync_api import TimeoutError, expect

TIMEOUT = 60_000
ATTEMPTS = 10


class Client:
    "The web client of one user, in a page of the browser."

    def __init__(self, context, url, database):
        self.page = context.new_page()
        self.page.set_default_timeout(TIMEOUT)
        self.errors = []
        self.page.on('pageerror', lambda error: self.errors.append(error))
        self._url = f'{url}/#{database}'
        self.clicks = 0

    def login(self, login, password):
        page = self.page
        page.goto(self._url)
        page.fill('.login-dialog input[name="login"]', login)
        # Before the list of databases has come, the button does nothing.
        page.wait_for_function(
            '''() => jQuery(".login-dialog [name=database]:visible").val()''')
        self.settle()
        page.click('.login-dialog .btn-primary')
        page.fill('input[type="password"]', password)
        page.keyboard.press('Enter')
        page.wait_for_selector('#menu .treeview')
        self.settle()
        # What opens by itself at login is put aside.
        while (close := page.locator('#tablist .close')).count():
            close.first.click()
            self.settle()

    def settle(self):
        "Wait until the client has nothing under way."
        quiet = 0
        # The client waits up to 300 ms by itself before it asks for more.
        while quiet < 6:
            self.page.wait_for_timeout(60)
            self.page.wait_for_function('() => !jQuery.active')
            quiet = quiet + 1 if self.page.evaluate(
                '() => !jQuery.active') else 0

    def menu(self, *path):
        "Open the entry of the menu, by its titles."
        for depth in range(1, len(path)):
            if not self._entry(path[:depth + 1]).count():
                self._entry(path[:depth]).locator(
                    'xpath=ancestor::td').locator('.expander img').click()
                self.settle()
                self.clicks += 1
        tabs = self.page.locator('#tabcontent > .tab-pane')
        opened = tabs.count()
        self._entry(path).dblclick()
        tabs.nth(opened).wait_for()
        self.settle()
        self.clicks += 1

    def _entry(self, path):
        # A menu may bear the name of the one above it.
        return self.page.locator(
            f'#menu .column-char[title="{path[-1]}"]').nth(
                path.count(path[-1]) - 1)

    @property
    def tab(self):
        "The tab in front."
        return self.page.locator('#tabcontent > .tab-pane.active')

    def open(self, text):
        "Open the record of the list in front whose row has the text."
        self.tab.locator('.treeview tbody tr').filter(
            has_text=text).first.locator('.selection-state input').click()
        self.tab.locator('button[id="switch_"]').click()
        self.tab.locator('.form').first.wait_for()
        self.settle()
        self.clicks += 2

    def all(self):
        "Show the last tab of the list, which holds everything."
        self.tab.locator('.nav-tabs a:visible').last.click()
        self.settle()
        self.clicks += 1

    def close(self):
        "Close the tab in front."
        self.page.locator('#tablist li.active .close').click()
        self.settle()
        self.clicks += 1

    def new(self):
        self.tab.locator('button[id="new_"]').first.click()
        self.settle()
        self.clicks += 1

    def save(self):
        self.tab.locator('button[id="save"]').first.click()
        self.settle()
        self.clicks += 1

    def fill(self, name, value):
        "Type the value in the field of the form."
        fields = self.tab.locator(f'input[name="{name}"]:visible, '
            f'textarea[name="{name}"]:visible')
        field = self.tab.locator(f'[name="{name}"]:focus')
        # A number shows another input once it has the focus, which it loses
        # when the form is drawn again in between.
        for attempt in range(ATTEMPTS):
            fields.first.click()
            try:
                field.fill(value, timeout=TIMEOUT / ATTEMPTS)
            except TimeoutError:
                if attempt == ATTEMPTS - 1:
                    raise
            else:
                break
        self.page.keyboard.press('Tab')
        self.settle()

    def pick(self, name, text):
        "Find the record by the text and put it in the field of the form."
        self.fill(name, text)
        row = self.page.locator('.modal.in .treeview tbody tr').first
        row.locator('td').nth(3).dblclick()
        row.wait_for(state='hidden')
        self.settle()

    def choose(self, name, label):
        self.tab.locator(f'select[name="{name}"]:visible').first.select_option(
            label=label)
        self.settle()

    def page_of_form(self, title):
        "Show the page of the form's notebook."
        self.tab.locator('.nav-tabs a').filter(
            has_text=re.compile(rf'^\s*{re.escape(title)}')).first.click()
        self.settle()
        self.clicks += 1

    def press(self, name):
        "Press the button of the form or of the list; say yes if asked."
        self.tab.locator(f'button[name="{name}"]:visible').first.click()
        self.settle()
        self.clicks += 1
        if (error := self.page.locator('.error-dialog.in')).count():
            self.errors.append(error.first.inner_text())
        confirm = self.page.locator('.modal.in .btn-primary:visible')
        if confirm.count():
            confirm.first.click()
            self.settle()

    def message(self):
        "Return the text of the message in front and close it."
        dialog = self.page.locator('.modal.in').last
        text = dialog.inner_text()
        dialog.locator('.btn-primary, .btn-link').last.click()
        self.settle()
        return text

    def sees(self, name, value):
        "Wait until the field of the form shows the value."
        expect(self.tab.locator(f'[name="{name}"]:visible').first
            ).to_have_value(value, timeout=TIMEOUT)

    def sees_state(self, label):
        "Wait until the form shows the label of the state."
        select = self.tab.locator(
            ', '.join(
                f'select[name="{n}"]:visible' for n in ['state', 'status'])
            ).first
        expect(select.locator('option:checked')).to_have_text(
            label, timeout=TIMEOUT)

    def sees_text(self, text):
        "Wait until the tab in front shows the text."
        expect(self.tab).to_contain_text(text, timeout=TIMEOUT)

    def sees_rows(self, text, count):
        "Wait until so many rows of the list in front have the text."
        rows = self.tab.locator('.treeview tbody tr').filter(has_text=text)
        expect(rows).to_have_count(count, timeout=TIMEOUT)
        return rows

    def shot(self, path):
        self.page.screenshot(path=str(path))
