# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"A user in front of the web client: what the journeys say of it."
import re
from contextlib import contextmanager

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
            self.click(close.first)
        self.clicks = 0

    def settle(self):
        "Wait until the client has nothing under way."
        quiet = 0
        # The client waits up to 300 ms by itself before it asks for more.
        while quiet < 6:
            self.page.wait_for_timeout(60)
            self.page.wait_for_function('() => !jQuery.active')
            quiet = quiet + 1 if self.page.evaluate(
                '() => !jQuery.active') else 0

    def click(self, target, **options):
        "Click on it, and wait for what comes of it: every click is counted."
        target.click(**options)
        self.clicks += 1
        self.settle()

    def double_click(self, target):
        "Open it: one gesture, counted as one."
        target.dblclick()
        self.clicks += 1
        self.settle()

    @contextmanager
    def within(self, clicks):
        "Work that takes so many clicks at most."
        before = self.clicks
        yield
        assert self.clicks - before <= clicks, self.clicks - before

    def menu(self, *path):
        "Open the entry of the menu, by its titles: a list or a wizard."
        for depth in range(1, len(path)):
            if not self._entry(path[:depth + 1]).count():
                self.click(self._entry(path[:depth]).locator(
                        'xpath=ancestor::td').locator('.expander img'))
        tabs = self.page.locator('#tabcontent > .tab-pane')
        opened = tabs.count()
        self.click(self._entry(path))
        tabs.nth(opened).or_(self.dialog).wait_for()

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
        self.select(self.rows.filter(has_text=text).first)
        self.click(self.tab.locator('button[id="switch_"]'))
        self.tab.locator('.form').first.wait_for()
        self.settle()

    @property
    def rows(self):
        "The rows of the list in front."
        return self.tab.locator('.treeview tbody tr')

    def row(self, index):
        "Return the row of the list, to which the user scrolls."
        # The client draws the next ones when the last one comes into view.
        while (count := self.rows.count()) <= index:
            self.rows.last.scroll_into_view_if_needed()
            self.page.mouse.wheel(0, 1000)
            expect(self.rows).not_to_have_count(count, timeout=TIMEOUT)
        return self.rows.nth(index)

    def select(self, row, upto=False):
        "Choose the row of a list: it, or all from the chosen one to it."
        # The box of a row does not heed Shift, the row itself does.
        if upto:
            self.click(row.locator('td').nth(3), modifiers=['Shift'])
        else:
            self.click(row.locator('.selection-state input'))

    def select_all(self):
        "Choose everything that the list in front holds."
        self.click(self.tab.locator('.treeview thead .selection-state input'))

    def all(self):
        "Show the last tab of the list, which holds everything."
        self.click(self.tab.locator('.nav-tabs a:visible').last)

    def close(self):
        "Close the tab in front."
        self.click(self.page.locator('#tablist li.active .close'))

    def new(self):
        self.click(self.tab.locator('button[id="new_"]').first)

    def save(self):
        self.click(self.tab.locator('button[id="save"]').first)

    @property
    def dialog(self):
        "What stands in front of the tabs: a wizard, a question, a message."
        return self.page.locator('.modal.in').last

    @property
    def form(self):
        "Where one types: the dialog if there is one, the tab otherwise."
        return self.dialog if self.dialog.count() else self.tab

    def fill(self, name, value):
        "Type the value in the field of the form."
        form = self.form
        fields = form.locator(f'input[name="{name}"]:visible, '
            f'textarea[name="{name}"]:visible')
        field = form.locator(f'[name="{name}"]:focus')
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
        self.clicks += 1
        self.page.keyboard.press('Tab')
        self.settle()

    def pick(self, name, text):
        "Find the record by the text and put it in the field of the form."
        self.fill(name, text)
        row = self.page.locator('.modal.in .treeview tbody tr').first
        self.double_click(row.locator('td').nth(3))
        row.wait_for(state='hidden')

    def choose(self, name, label):
        self.form.locator(
            f'select[name="{name}"]:visible').first.select_option(label=label)
        self.clicks += 1
        self.settle()

    def upload(self, path):
        "Choose the file of the machine for the field of the form."
        with self.page.expect_file_chooser() as chooser:
            self.click(self.form.locator('.input-file:visible').first)
        chooser.value.set_files(path)
        self.settle()

    def show(self, title):
        "Show the page of the form's notebook, or the tab of the list."
        self.click(self.tab.locator('.nav-tabs a').filter(
                has_text=re.compile(rf'^\s*{re.escape(title)}')).first)

    def press(self, name):
        "Press the button of the form or of the list; say yes if asked."
        self.click(self.tab.locator(f'button[name="{name}"]:visible').first)
        self._note_error()
        question = self.page.locator(
            '.confirmation-dialog.in, .user-warning-dialog.in')
        if question.count():
            self.click(question.locator('.btn-primary'))
            self._note_error()

    def refused(self, name):
        "Press the button that is refused, and return what the client says."
        self.click(self.tab.locator(f'button[name="{name}"]:visible').first)
        dialog = self.page.locator('.warning-dialog.in')
        text = dialog.inner_text()
        self.click(dialog.locator('.btn-primary'))
        return text

    def launch(self, title):
        "Launch the action of the toolbar on what is chosen."
        button = self.tab.locator('button[id="action"]')
        self.click(button)
        self.click(button.locator('xpath=..').locator(
                '.dropdown-menu a').filter(has_text=title).first)

    def answer(self, label):
        "Press the button of the dialog in front."
        self.click(self.dialog.get_by_role('button', name=label))
        self._note_error()

    def authenticate(self, password):
        "Give the password that is asked for again."
        dialog = self.page.locator('.ask-dialog.in')
        dialog.locator('input[type="password"]').fill(password)
        self.click(dialog.locator('.btn-primary'))
        self._note_error()

    def _note_error(self):
        errors = self.page.locator('.error-dialog.in, .warning-dialog.in')
        if errors.count():
            self.errors.append(errors.first.inner_text())

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
        rows = self.rows.filter(has_text=text)
        expect(rows).to_have_count(count, timeout=TIMEOUT)
        return rows

    def shot(self, path):
        self.page.screenshot(path=str(path))
