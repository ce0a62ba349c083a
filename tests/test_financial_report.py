# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What partners report on the use of the grant of a year."
import datetime as dt
from contextlib import contextmanager
from decimal import Decimal
from io import BytesIO
from random import Random
from types import SimpleNamespace
from zipfile import ZIP_DEFLATED, ZipFile

from dateutil.relativedelta import relativedelta
from openpyxl import load_workbook
from trytond.model.exceptions import AccessError
from trytond.modules.pacte_grants.exceptions import (
    AmountError, CompletenessError, FrozenError, SurveyFileError,
    TransitionError)
from trytond.modules.pacte_grants.financial_report_sheet import (
    _ACTIVITY, MAXIMUM_CONTENT, MAXIMUM_SIZE, read_sheet, write_sheet)
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import RefusalCase, forget, set_state


class ReportTestCase(RefusalCase):

    @classmethod
    def prepare(cls):
        cls.convention = cls.road.to_active()

    @property
    def report(self):
        return self.road.report(self.convention)

    def blocked(self, instalment):
        Blocker = Pool().get('grant.instalment.blocker')
        with self.road.system():
            return {b.code for b in Blocker.search(
                    [('instalment', '=', instalment.id)])}

    def make_late(self, report):
        "The report was due yesterday."
        return set_state(
            report, 'expected',
            due_date=self.road.today - dt.timedelta(days=1))

    def test_expected(self):
        "The notification makes the report of the year expected, once"
        report = self.report
        end = max(
            self.convention.end_date, dt.date(self.road.year, 12, 31))
        self.assertEqual(report.due_date, end + relativedelta(months=6))
        self.assertEqual(
            [report.kind, report.state, report.year],
            ['financial', 'expected', self.road.year])
        self.assertEqual(report.eligible_forecast, Decimal(20000))
        FinancialReport = Pool().get('grant.financial_report')
        with self.road.system():
            FinancialReport.expect_daily()
        self.assertEqual(
            len(self.road.fresh(self.convention).financial_reports), 1)

    def test_by_hand(self):
        "What is owed is neither added nor deleted nor moved by hand"
        FinancialReport = Pool().get('grant.financial_report')
        report = self.report
        with self.refused(AccessError, 'report_create'):
            with self.road.as_user('claire'):
                FinancialReport.create([{
                            'convention': self.convention.id,
                            'tranche': self.convention.tranches[0].id,
                            'kind': 'financial'}])
        with self.refused(AccessError, 'report_delete'):
            with self.road.as_user('claire'):
                FinancialReport.delete([FinancialReport(report.id)])
        with self.refused(FrozenError):
            self.road.write('claire', report, due_date=self.road.today)

    def test_life(self):
        road, report = self.road, self.report
        with self.refused(TransitionError):
            road.press('claire', report, 'accept')
        with self.forbidden():
            road.press('paul', report, 'submit')
        road.press('claire', report, 'submit')
        with self.refused(CompletenessError, 'report_return_reason'):
            road.press('claire', report, 'send_back')
        road.write('claire', report, return_reason="Il manque les salaires.")
        road.press('claire', report, 'send_back')
        report = road.fresh(report)
        self.assertEqual(
            [report.state, report.whose_turn, report.returned_by.login],
            ['returned', 'partner', 'claire'])
        report = road.accept_report(report, Decimal(18000), Decimal(9000))
        self.assertEqual(
            [report.state, report.accepted_by.login],
            ['accepted', 'claire'])
        with self.refused(FrozenError):
            road.write('claire', report, eligible_realised=Decimal(1))
        with self.refused(CompletenessError, 'reopen_reason'):
            road.press('marc', report, 'reopen')
        road.write('marc', report, reopen_reason="Facture fausse.")
        road.press('marc', report, 'reopen')
        report = road.fresh(report)
        self.assertEqual([report.state, report.accepted_by],
            ['submitted', None])
        Event = Pool().get('grant.event')
        with road.system():
            event, = Event.search([
                    ('record', '=', str(report)),
                    ('name', '=', 'reopen'),
                    ])
        self.assertEqual(
            [event.reason, event.user.login], ["Facture fausse.", 'marc'])

    def test_overdue(self):
        "A late report holds the balances back, not the advance of its year"
        road = self.road
        advance, balance = road.fresh(self.convention).instalments
        self.assertNotIn('report_overdue', self.blocked(balance))
        self.make_late(self.report)
        self.assertIn('report_overdue', self.blocked(balance))
        self.assertNotIn('report_overdue', self.blocked(advance))
        road.press('claire', self.report, 'submit')
        self.assertNotIn('report_overdue', self.blocked(balance))

    def send_back(self, reason="Il manque les salaires."):
        road = self.road
        road.press('claire', self.report, 'submit')
        road.write('claire', self.report, return_reason=reason)
        road.press('claire', self.report, 'send_back')

    def remind(self):
        "Run the task of the night; return the reminders of the report."
        pool = Pool()
        with self.road.system():
            pool.get('grant.due').remind_daily()
            return pool.get('grant.reminder').search(
                [('record', '=', str(self.report))])

    def test_answer(self):
        "What is returned has a delay to come back; then it is late"
        road = self.road
        balance = road.fresh(self.convention).instalments[1]
        self.make_late(self.report)
        self.send_back()
        report = self.report
        self.assertEqual(
            report.answer_before, road.today + dt.timedelta(days=30))
        self.assertIsNone(report.late_days)
        self.assertNotIn('report_overdue', self.blocked(balance))
        self.assertEqual(self.due().due_date, report.answer_before)
        reminder, = self.remind()
        self.assertEqual(reminder.due_date, report.answer_before)
        self.assertIn("à corriger ou à compléter", reminder.text)
        self.assertIn("Il manque les salaires.", reminder.text)
        self.assertNotIn("pas reçu", reminder.text)
        set_state(report, 'returned',
            answer_before=road.today - dt.timedelta(days=1))
        self.assertEqual(self.report.late_days, 1)
        self.assertIn('report_overdue', self.blocked(balance))
        road.press('claire', self.report, 'submit')
        self.assertIsNone(self.report.answer_before)

    def test_answer_early(self):
        "A report that came early comes back before its date"
        self.send_back()
        self.assertEqual(self.report.answer_before, self.report.due_date)

    def test_given_up(self):
        "A tranche that is given up owes no report, unless it was paid"
        tranche = self.convention.tranches[0]
        advance, _ = self.road.fresh(self.convention).instalments
        set_state(advance, 'paid')
        with self.road.system():
            tranche.__class__.set_status(
                [tranche.__class__(tranche.id)], 'refused')
        self.assertState(self.report, 'expected')
        set_state(advance, 'cancelled')
        with self.road.system():
            self.report.__class__.expect_daily()
        forget()
        self.assertEqual(
            self.road.fresh(self.convention).financial_reports, ())
        with self.road.system():
            tranche.__class__.set_status(
                [tranche.__class__(tranche.id)], 'voted')
        self.assertState(self.report, 'expected')

    @contextmanager
    def new_session(self):
        "A session that is still to come: that of the road was held."
        road, before = self.road, self.road.session
        with road.system():
            road.session = road.create_session()
        try:
            yield
        finally:
            road.session = before

    def another(self, **values):
        "Return another active convention, of the same partner by default."
        with self.new_session():
            return self.road.to_active(**{
                    'party': self.convention.party,
                    'title': "Autre projet", **values})

    def test_other_convention(self):
        "The balance of another convention of the partner waits too"
        road = self.road
        other = self.another()
        stranger = self.another(party=road.create_party())
        self.make_late(self.report)
        advance, balance = other.instalments
        self.assertIn('report_overdue', self.blocked(balance))
        self.assertNotIn('report_overdue', self.blocked(advance))
        self.assertNotIn(
            'report_overdue', self.blocked(stranger.instalments[1]))

    def test_approver(self):
        "Who retained the figures does not approve the payment"
        road = self.road
        report = road.accept_report(
            self.report, Decimal(18000), Decimal(9000))
        balance = road.fresh(self.convention).instalments[1]
        with road.system():
            concerned = balance._get_concerned_users(
                balance._get_acts([balance]))
        self.assertIn(('changed', report.accepted_by), concerned)

    # The budget

    def test_rows(self):
        "The rows are those of the voted budget"
        rows = {li.heading.code: li.forecast for li in self.report.lines}
        self.assertEqual(rows, {
                '60': Decimal(20000), '70': Decimal(10000),
                '74-DEPT': Decimal(10000)})

    def test_rows_kept(self):
        "A row of the voted budget is not deleted; one that was added is"
        Line = Pool().get('grant.financial_report.line')
        heading, = Pool().get('grant.budget.heading').search(
            [('code', '=', '61')])
        with self.road.as_user('claire'):
            added, = Line.create([{
                        'report': self.report.id, 'heading': heading.id,
                        'realised': Decimal(50)}])
            Line.delete([Line(added.id)])
        with self.refused(AccessError, 'report_line_delete'):
            with self.road.as_user('claire'):
                Line.delete([Line(self.line('70').id)])

    def line(self, code):
        line, = [
            li for li in self.road.fresh(self.report).lines
            if li.heading.code == code]
        return line

    def test_retained(self):
        "What is retained: realised less what is set aside, without the grant"
        road = self.road
        road.fill_report(self.report, Decimal(19000), Decimal(9500))
        report = road.fresh(self.report)
        self.assertEqual(
            [report.eligible_realised, report.other_income_realised,
                report.expense_realised, report.income_realised],
            [Decimal(19000), Decimal(9500), Decimal(19000), Decimal(19000)])
        road.write('claire', self.line('60'), ineligible=Decimal(1000))
        self.assertEqual(
            road.fresh(report).eligible_realised, Decimal(18000))
        with self.refused(AmountError, 'report_line_ineligible'):
            road.write('claire', self.line('60'), ineligible=Decimal(20000))
        with self.refused(FrozenError):
            road.write('claire', report, eligible_realised=Decimal(1))
        Event = Pool().get('grant.event')
        with road.system():
            events = Event.search([
                    ('record', '=', str(self.line('60'))),
                    ('name', '=', 'realised')])
        self.assertEqual(
            [(e.after, e.user.login) for e in events],
            [('19000.00', 'claire')])

    def test_missing(self):
        "Everything that is missing is said at once, and blocks acceptance"
        road = self.road
        road.fill_report(self.report, Decimal(12000), Decimal(2000))
        road.press('claire', self.report, 'submit')
        with road.as_user('claire'):
            self.line('60').__class__.write(
                [self.line('60'), self.line('70')], {'comment': None})
        road.write('claire', self.line('60'), ineligible=Decimal(100))
        road.write('claire', self.line('74-DEPT'), realised=Decimal(9000))
        road.write('claire', self.report, activity=None, accounts=None,
            certified_name="Un autre")
        with self.refused(CompletenessError, 'report_not_accepted',
                "l'écart de", "diffèrent de 1", "n'est pas retenue",
                "Dites ce qui a été réalisé", "comptes annuels",
                "n'est pas le représentant légal"):
            road.press('claire', self.report, 'accept')
        # Nothing of it kept the report from being recorded.
        self.assertState(self.report, 'submitted')

    def test_small_gap(self):
        "A small gap needs no comment, nor one below the floor"
        road = self.road
        road.fill_report(self.report, Decimal(18500), Decimal(9900))
        lines = {
            li.heading.code: li for li in road.fresh(self.report).lines}
        self.assertFalse(lines['60'].comment_required)
        self.assertFalse(lines['70'].comment_required)
        self.assertTrue(lines['74-DEPT'].comment_required)

    def test_key(self):
        "A shared cost is what its key gives"
        road = self.road
        road.fill_report(self.report, Decimal(19000), Decimal(9000))
        road.press('claire', self.report, 'submit')
        road.write('claire', self.line('60'), key_criterion="Surface",
            key_base=Decimal(40000))
        with self.refused(CompletenessError, None, "clé de répartition"):
            road.press('claire', self.report, 'accept')
        road.write('claire', self.line('60'), key_rate=Decimal('0.5'))
        with self.refused(CompletenessError, None, "répartition donne 20"):
            road.press('claire', self.report, 'accept')
        road.write('claire', self.line('60'), key_rate=Decimal('0.475'))
        road.press('claire', self.report, 'accept')
        with self.refused(FrozenError):
            road.write('claire', self.line('60'), realised=Decimal(1))

    def test_key_third(self):
        "A third is what four decimals make of it"
        road = self.road
        for realised, refused in [('3333.33', False), ('3334.00', True)]:
            road.write('claire', self.line('60'),
                realised=Decimal(realised), key_criterion="Surface",
                key_base=Decimal(10000), key_rate=Decimal('0.3333'))
            self.assertEqual(
                any("répartition donne" in reason
                    for reason in self.line('60').get_reasons()), refused)

    def test_key_total(self):
        "One cost is not shared out beyond the whole of it"
        road = self.road
        other = road.report(self.another())
        for report in [other, self.report]:
            road.fill_report(report, Decimal(12000), Decimal(2000))
            line, = [
                li for li in road.fresh(report).lines
                if li.heading.code == '60']
            road.write('claire', line, key_criterion="Surface",
                key_base=Decimal(20000), key_rate=Decimal('0.6'))
            road.press('claire', report, 'submit')
        number = road.fresh(other).convention.number
        with self.refused(CompletenessError, None, "120", number):
            road.press('claire', self.report, 'accept')
        road.write('claire', self.line('60'), key_base=Decimal(20001))
        road.write('claire', self.line('60'), realised=Decimal('12000.60'))
        road.write(
            'claire', self.line('70'), realised=Decimal('2000.60'))
        road.press('claire', self.report, 'accept')

    def test_certificate(self):
        "Certified by a name, not in the future"
        road = self.road
        road.fill_report(self.report, Decimal(19000), Decimal(9000))
        road.press('claire', self.report, 'submit')
        for values in [
                {'certified_on': road.today + dt.timedelta(days=1)},
                {'certified_capacity': "  "}]:
            with self.refused(CompletenessError, None, "certification"):
                road.write('claire', self.report, **values)
                road.press('claire', self.report, 'accept')

    def test_auditor(self):
        "Above the threshold of all funders the auditor's report is due (L11)"
        road = self.road
        road.fill_report(self.report, Decimal(19000), Decimal(9000))
        road.write('claire', self.report, auditor_report=None,
            public_total=Decimal(153000))
        road.press('claire', self.report, 'submit')
        self.assertFalse(road.fresh(self.report).missing)
        road.write(
            'claire', self.report, public_total=Decimal('153000.01'))
        with self.refused(
                CompletenessError, None, "commissaire aux comptes"):
            road.press('claire', self.report, 'accept')

    # Statements of expenses

    def statement(self, convention=None, **values):
        convention = self.road.fresh(convention or self.convention)
        FinancialReport = Pool().get('grant.financial_report')
        with self.road.as_user('claire'):
            statement, = FinancialReport.create([{
                        'convention': convention.id,
                        'tranche': convention.tranches[0].id,
                        'kind': 'statement',
                        'certified_name': "Camille Exemple",
                        'certified_capacity': "Présidente",
                        'certified_on': self.road.today,
                        **values}])
        return statement

    def invoice(self, number, amount, **values):
        return {
            'supplier': "Briqueterie de l'Artois", 'number': number,
            'date': self.road.today, 'paid_on': self.road.today,
            'amount': amount, 'eligible_amount': amount, **values}

    def test_statement(self):
        "Statements add up to the share of the cost that is justified"
        road = self.road
        first = self.statement(invoices=[('create', [
                        self.invoice('F-1', Decimal(3000)),
                        self.invoice('F-2', Decimal(2000))])])
        self.assertEqual(
            [first.eligible_realised, first.eligible_forecast],
            [Decimal(5000), Decimal(20000)])
        road.press('claire', first, 'submit')
        road.press('claire', first, 'accept')
        second = self.statement(invoices=[('create', [
                        self.invoice('F-3', Decimal(1000))])])
        self.assertEqual(
            [second.justified_amount, second.justified_share],
            [Decimal(6000), Decimal('0.3')])
        with self.refused(FrozenError):
            road.write(
                'claire', road.fresh(first).invoices[0],
                amount=Decimal(9000))
        with road.as_user('claire'):
            second.__class__.delete([second.__class__(second.id)])

    def test_empty_statement(self):
        statement = self.statement()
        self.road.press('claire', statement, 'submit')
        with self.refused(CompletenessError, None, "factures"):
            self.road.press('claire', statement, 'accept')

    def test_invoice_twice(self):
        "The same invoice justifies nothing twice, whatever the convention"
        other = self.another()
        self.statement(invoices=[('create', [
                        self.invoice('F-1', Decimal(3000))])])
        with self.refused(AmountError, 'report_invoice_twice', "f 1"):
            self.statement(other, invoices=[('create', [
                            self.invoice('f 1', Decimal(3000),
                                supplier="BRIQUETERIE DE L’ARTOIS")])])
        self.statement(other, invoices=[('create', [
                        self.invoice('F-1', Decimal(3001)),
                        self.invoice('F-10', Decimal(3000))])])

    def test_invoice_outside(self):
        "An invoice before the convention is retained for nothing"
        road = self.road
        before = road.today - dt.timedelta(days=400)
        statement = self.statement(invoices=[('create', [
                        self.invoice('F-1', Decimal(3000), date=before)])])
        road.press('claire', statement, 'submit')
        with self.refused(CompletenessError, None, "en dehors"):
            road.press('claire', statement, 'accept')
        road.write('claire', road.fresh(statement).invoices[0],
            eligible_amount=Decimal(0))
        road.press('claire', statement, 'accept')

    # Deadlines

    def due(self):
        Due = Pool().get('grant.due')
        with self.road.system():
            dues = Due.search([('record', '=', str(self.report))])
        return dues[0] if dues else None

    def test_due(self):
        road, due = self.road, self.due()
        self.assertEqual(
            [due.kind, due.status, due.whose_turn, due.due_date],
            ['report', 'to_produce', 'partner', self.report.due_date])
        self.assertIn("Compte rendu financier", due.what)
        self.assertIn("Solde", due.blocks_text)
        road.press('claire', due, 'remind')
        self.assertEqual(self.due().reminder_count, 1)
        reminder, = Pool().get('grant.reminder').search(
            [('record', '=', str(self.report))])
        self.assertIn(f"subvention {road.year}", reminder.text)
        with self.forbidden():
            road.press('lea', due, 'receive_report')
        road.press('claire', due, 'receive_report')
        self.assertState(self.report, 'submitted')
        with self.refused(CompletenessError):
            road.press('claire', self.due(), 'receive_report')

    def test_due_verdict(self):
        "What is done with undertakings is not done from a report's line"
        road = self.road
        Condition = Pool().get('grant.condition')
        # Of the number of the report: neither is taken for the other.
        with road.system():
            condition, = Condition.search([('id', '=', self.report.id)])
        set_state(condition, 'submitted')
        road.press('claire', self.report, 'submit')
        due = self.due()
        for button in [
                'meet', 'submit', 'fail', 'prolong', 'propose_waiver']:
            with self.subTest(button=button), self.refused(
                    CompletenessError, 'condition_due_refused',
                    "Compte rendu financier"):
                road.press('claire', due, button)
        self.assertState(condition, 'submitted')

    # The sheet

    def sheet(self, report):
        with self.road.as_user('claire'):
            _, data, _, _ = Pool().get(
                'grant.financial_report.sheet', type='report').execute(
                [report.id], {'model': 'grant.financial_report'})
        return load_workbook(BytesIO(data))

    def filled(self, report, realised, **answers):
        "The sheet with the amounts by code of heading."
        book = self.sheet(report)
        budget = book['Budget']
        for row in range(4, budget.max_row + 1):
            code = budget.cell(row, 2).value.split()[0]
            if code in realised:
                budget.cell(row, 5).value = realised[code]
        for row, (name, _) in enumerate(_ACTIVITY, 4):
            if name in answers:
                book['Activité'].cell(row, 2).value = answers[name]
        return book

    def save(self, book):
        data = BytesIO()
        book.save(data)
        return data.getvalue()

    def import_(self, report, book):
        with self.road.as_user('claire'):
            write_sheet(
                report.__class__(report.id), self.save(book))

    def test_sheet(self):
        "The sheet comes back with its figures; again, it changes nothing"
        road = self.road
        book = self.filled(
            self.report, {
                '60': "18 500,50 €", '70': 8500.5, '74-DEPT': 10000},
            activity="Trois jours.", beneficiary_count=320,
            certified_on="30/06/2026")
        self.assertTrue(book['Budget'].protection.sheet)
        self.assertFalse(book['Budget']['E4'].protection.locked)
        self.assertTrue(book['Budget']['D4'].protection.locked)
        self.import_(self.report, book)
        report = road.fresh(self.report)
        self.assertEqual(
            [report.eligible_realised, report.other_income_realised,
                report.beneficiary_count, report.certified_on],
            [Decimal('18500.50'), Decimal('8500.50'), 320,
                dt.date(2026, 6, 30)])
        Event = Pool().get('grant.event')
        with road.system():
            before = Event.search([], count=True)
        self.import_(report, book)
        with road.system():
            self.assertEqual(Event.search([], count=True), before)

    def test_sheet_errors(self):
        "Every error is said with its place, and nothing is imported"
        road = self.road
        book = self.filled(
            self.report, {'60': "1.234", '70': "beaucoup", '74-DEPT': -5},
            activity="Trois jours.", beneficiary_count="vingt")
        with self.refused(SurveyFileError, 'report_sheet_errors',
                "Feuille Budget, ligne 4, colonne « Réalisé »", "1.234",
                "ligne 5", "beaucoup", "ligne 6", "négatif",
                "Feuille Activité, ligne 5", "vingt"):
            self.import_(self.report, book)
        report = road.fresh(self.report)
        self.assertEqual(
            [report.activity, report.eligible_realised], [None, None])

    def test_sheet_of_another(self):
        road = self.road
        other = road.report(self.another())
        book = self.filled(other, {'60': 1})
        with self.refused(SurveyFileError, 'report_sheet_other'):
            self.import_(self.report, book)
        with self.refused(SurveyFileError, 'report_sheet_unreadable'):
            self.import_(self.report, SimpleNamespace(
                    save=lambda data: data.write(b'%PDF-1.4')))
        book = self.filled(self.report, {'60': 1})
        book['Budget'].delete_rows(5)
        with self.refused(SurveyFileError, 'report_sheet_missing', "70 "):
            self.import_(self.report, book)
        report = road.accept_report(
            self.report, Decimal(18000), Decimal(9000))
        with self.refused(FrozenError, 'report_sheet_closed'):
            self.import_(report, self.filled(report, {'60': 1}))

    def realised(self, value, format_='General', column=5):
        """Import the sheet with the value in the row 60 and return what its
        line has."""
        book = self.filled(
            self.report, {'60': 20000, '70': 10000, '74-DEPT': 10000})
        cell = book['Budget'].cell(4, column)
        cell.value, cell.number_format = value, format_
        self.import_(self.report, book)
        line = self.line('60')
        return line.realised if column == 5 else line.key_rate

    def test_sheet_formats(self):
        "A number is what its cell shows, in euros"
        for value, format_, column, expected in [
                (0.33, '0%', 11, Decimal('0.33')),
                (33.5, 'General', 11, Decimal('0.335')),
                ("33 %", 'General', 11, Decimal('0.33')),
                (100, '#,##0.00\\ [$€-40C]', 5, Decimal(100)),
                # That of the computer, in whatever country
                (100, '"$"#,##0.00_);("$"#,##0.00)', 5, Decimal(100)),
                ]:
            with self.subTest(value=value, format_=format_):
                self.assertEqual(
                    self.realised(value, format_, column), expected)
        for value, format_, column, text in [
                (100, '[$$-409]#,##0.00', 5, "autre monnaie"),
                (100, '[$£-809]#,##0.00', 5, "autre monnaie"),
                (100, '#,##0" CHF"', 5, "autre monnaie"),
                (0.5, '0%', 5, "pas un montant"),
                (1.5, '0%', 11, "100"),
                ('=10000+5000', 'General', 5, "formule"),
                ('#DIV/0!', 'General', 5, "formule"),
                ('#REF!', 'General', 8, "formule"),
                (1e17, 'General', 5, "pas un montant"),
                ('1' + '0' * 40, 'General', 5, "pas un montant"),
                (25000, 'General', 4, "date d'avant"),
                ]:
            with self.subTest(value=value, format_=format_), self.refused(
                    SurveyFileError, 'report_sheet_errors', "ligne 4", text):
                self.realised(value, format_, column)

    def test_sheet_computed(self):
        "A formula with its result is the result"
        book = self.filled(self.report, {'70': 10000, '74-DEPT': 10000})
        book['Budget'].cell(4, 5).value = '=10000+5000'
        source, target = BytesIO(self.save(book)), BytesIO()
        with ZipFile(source) as before, ZipFile(target, 'w') as after:
            for name in before.namelist():
                after.writestr(name, before.read(name).replace(
                        b'<f>10000+5000</f><v></v>',
                        b'<f>10000+5000</f><v>15000</v>').replace(
                        b'<f>10000+5000</f><v/>',
                        b'<f>10000+5000</f><v>15000</v>').replace(
                        b'<f>10000+5000</f><v />',
                        b'<f>10000+5000</f><v>15000</v>'))
        with self.road.as_user('claire'):
            write_sheet(
                self.report.__class__(self.report.id), target.getvalue())
        self.assertEqual(self.line('60').realised, Decimal(15000))

    def test_sheet_damaged(self):
        "A file that is damaged or too large is refused, in words"
        report = self.report.__class__(self.report.id)
        data = self.save(self.filled(self.report, {'60': 1}))
        random = Random(1)
        for _ in range(50):
            damaged = bytearray(data)
            for _ in range(3):
                damaged[random.randrange(len(data))] ^= 255
            try:
                read_sheet(report, bytes(damaged))
            except SurveyFileError:
                pass
        for data in [b'', None]:
            with self.refused(SurveyFileError, 'report_sheet_unreadable'):
                read_sheet(report, data)
        large = BytesIO()
        with ZipFile(large, 'w', ZIP_DEFLATED) as archive:
            archive.writestr(
                'xl/worksheets/sheet1.xml',
                b' ' * ((MAXIMUM_CONTENT + 1) * 2 ** 20))
        self.assertLess(len(large.getvalue()), 2 ** 20)
        for data in [large.getvalue(), b' ' * (MAXIMUM_SIZE * 2 ** 20 + 1)]:
            with self.refused(SurveyFileError, 'report_sheet_large'):
                read_sheet(report, data)

    def test_sheet_invoices(self):
        "An invoice comes back corrected, or not at all"
        road = self.road
        statement = self.statement(invoices=[('create', [
                        self.invoice('F-1', Decimal(3000)),
                        self.invoice('F-2', Decimal(2000))])])
        book = self.sheet(statement)
        sheet = book['Factures']
        self.assertTrue(sheet.column_dimensions['A'].hidden)
        # After the sheet left, the officer adds one.
        with road.as_user('claire'):
            Pool().get('grant.financial_report.invoice').create([{
                        'report': statement.id,
                        **self.invoice('F-9', Decimal(50))}])
        sheet.cell(4, 7).value = sheet.cell(4, 8).value = 300
        # A row copied with its identifier, for another invoice
        for column in range(1, 10):
            sheet.cell(6, column).value = sheet.cell(4, column).value
        sheet.cell(6, 3).value = 'F-3'
        sheet.delete_rows(5)
        statement = road.fresh(statement)
        with road.as_user('claire'):
            understood = read_sheet(
                statement.__class__(statement.id), self.save(book))
        self.assertEqual(
            [i.number for i in understood.removed], ['F-2'])
        self.import_(statement, book)
        statement = road.fresh(statement)
        self.assertEqual(
            {i.number: i.amount for i in statement.invoices},
            {'F-1': Decimal(300), 'F-3': Decimal(300), 'F-9': Decimal(50)})
        self.assertEqual(statement.eligible_realised, Decimal(650))
        self.import_(statement, book)
        self.assertEqual(len(road.fresh(statement).invoices), 3)

    def test_sheet_stranger(self):
        "A report of another company is neither seen nor filled in"
        pool = Pool()
        Import = pool.get(
            'grant.financial_report.sheet.import', type='wizard')
        data = self.save(self.filled(self.report, {'60': 1}))
        with self.road.system():
            stranger = self.road.create_user(
                'zoe', ['group_officer'], company=None, companies=None,
                employees=None, employee=None)
        with Transaction().set_user(stranger.id), Transaction().set_context(
                _check_access=True, active_model='grant.financial_report',
                active_id=self.report.id, active_ids=[self.report.id]):
            for name in [
                    'grant.financial_report', 'grant.financial_report.line',
                    'grant.financial_report.invoice', 'grant.evaluation',
                    'grant.evaluation.line', 'grant.evaluation.result',
                    'grant.evaluation.meeting', 'grant.evaluation.statistic',
                    'grant.audit', 'grant.audit.finding', 'grant.audit.risk',
                    'grant.reminder', 'grant.due']:
                with self.subTest(name=name):
                    self.assertEqual(pool.get(name).search([]), [])
            for state in ['preview', 'import_']:
                with self.subTest(state=state), self.forbidden():
                    session, _, _ = Import.create()
                    Import.execute(
                        session, {'start': {'file': data}}, state)
        self.assertIsNone(self.report.eligible_realised)

    def test_sheet_preview(self):
        "The wizard shows what it understood before it writes"
        road = self.road
        pool = Pool()
        Import = pool.get(
            'grant.financial_report.sheet.import', type='wizard')
        data = self.save(self.filled(self.report, {'60': "12 000,00"}))
        with road.as_user('claire'), Transaction().set_context(
                active_model='grant.financial_report',
                active_id=self.report.id, active_ids=[self.report.id],
                language='fr'):
            session, _, _ = Import.create()
            shown = Import.execute(
                session, {'start': {'file': data}}, 'preview')
            self.assertIn("60", shown['view']['defaults']['text'])
            self.assertIsNone(road.fresh(self.report).eligible_realised)
            Import.execute(session, {'preview': {}}, 'import_')
        self.assertEqual(
            road.fresh(self.report).eligible_realised, Decimal(12000))

    # Small grants

    def test_attestation(self):
        "A small grant is accounted for with three fields and a signature"
        road = self.road
        party = road.create_party()
        with self.new_session():
            deliberation = road.create_deliberation()
            application = road.prepare_letter(
                party, Decimal(300), deliberation)
            road.press('marc', application, 'schedule')
            road.hold()
        road.vote(deliberation)
        road.make_executory(deliberation)
        letter = road.fresh(application.convention)
        road.press('claire', letter, 'issue')
        road.press('claire', letter, 'notify')
        report = road.report(letter)
        self.assertEqual([report.kind, report.lines], ['attestation', ()])
        road.press('claire', report, 'submit')
        with self.refused(CompletenessError, 'report_not_accepted',
                "dépense éligible", "bénéficiaires", "certification"):
            road.press('claire', report, 'accept')
        road.write('claire', report, eligible_realised=Decimal(310),
            activity="Une fête.", beneficiary_count=40,
            certified_name="Camille", certified_capacity="Trésorière",
            certified_on=road.today)
        road.press('claire', report, 'accept')
        self.assertState(report, 'accepted')
