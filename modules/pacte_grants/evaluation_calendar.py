# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""When conventions are evaluated, and what is expected of whom until then.

The dates are those of the terms (clauses EVALUATION_ANNUELLE and
EVALUATION_PLURIANNUELLE): an annual convention is evaluated some months after
its end; one of several years each year, at mid-term if it is long enough, and
some months before its end.
"""
from collections import defaultdict, namedtuple
from datetime import date as Day

from dateutil.relativedelta import relativedelta
from sql import Literal, Null
from sql.conditionals import Case

from trytond.i18n import gettext
from trytond.model import ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Eval
from trytond.tools import grouped_slice
from trytond.transaction import without_check_access

from .daily import company_by_company
from .evaluation import EVALUATED_STATES
from .exceptions import CompletenessError, TransitionError
from .sums import SLICE

SEVERAL_YEARS = frozenset({'multi_year', 'umbrella'})
_CODES = [
    'DOCUMENT_EVALUATION_DELAY', 'EVALUATION_MID_TERM',
    'EVALUATION_YEARLY_DELAY', 'EVALUATION_NOTICE']

Expected = namedtuple('Expected', ['kind', 'year', 'due_date'])


class _Delays:
    "The dated delays of the evaluations, read in one query."

    def __init__(self):
        Parameter = Pool().get('grant.parameter')
        self._rows = defaultdict(list)
        with without_check_access():
            for row in Parameter.search(
                    [('code', 'in', _CODES)],
                    order=[('valid_from', 'DESC')]):
                self._rows[row.code].append(row)

    def get(self, code, date):
        """Return the delay (an integer, in the unit of the parameter) on the
        date; raise ``CompletenessError`` if there is none."""
        for row in self._rows[code]:
            if row.valid_from <= date and (
                    not row.valid_to or date <= row.valid_to):
                return int(row.value)
        raise CompletenessError(gettext(
                'pacte_grants.msg_parameter_missing',
                code=code, date=date.strftime('%d/%m/%Y')))


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    evaluations = fields.One2Many(
        'grant.evaluation', 'convention', "Evaluations", readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'prepare_evaluation': {
                    'invisible': ~Eval('state').in_(EVALUATED_STATES),
                    'depends': ['state'],
                    },
                })

    @classmethod
    def copy(cls, conventions, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('evaluations', None)
        return super().copy(conventions, default=default)

    def get_expected_evaluations(self, delays=None):
        """Return the ``Expected`` evaluations of the convention, in their
        order: kind, year and due date.  The delays are those of the day of
        its vote."""
        delays = delays or _Delays()
        start, end = self.start_date, self.end_date
        terms = self.frozen_on or start

        def months(code):
            return relativedelta(months=delays.get(code, terms))
        delay = months('DOCUMENT_EVALUATION_DELAY')
        if self.kind not in SEVERAL_YEARS:
            return [Expected('final', end.year, end + delay)]
        result = [Expected('final', end.year, max(end - delay, start))]
        years = delays.get('EVALUATION_MID_TERM', terms)
        middle = None
        if start + relativedelta(years=years) <= end + relativedelta(days=1):
            middle = start + (end - start) / 2
            result.append(Expected('mid_term', middle.year, middle))
        yearly = months('EVALUATION_YEARLY_DELAY')
        result += [
            Expected('yearly', year, Day(year, 12, 31) + yearly)
            for year in range(start.year, end.year)
            if self.scheme.level != 'light'
            and not (middle and middle.year == year)]
        return sorted(result, key=lambda e: (e.due_date, e.kind))

    @classmethod
    @ModelView.button_action('pacte_grants.act_evaluation_opened')
    def prepare_evaluation(cls, conventions):
        """Prepare the evaluation of each convention that comes next, and
        show it; what is under way is shown as it is."""
        conventions = cls.claim(conventions)
        cls._check_evaluated(conventions)
        Evaluation = Pool().get('grant.evaluation')
        delays = _Delays()
        shown, missing = [], []
        for convention in conventions:
            open_ = [
                e for e in convention.evaluations if e.state != 'validated']
            if open_:
                shown += open_
                continue
            known = {(e.kind, e.year) for e in convention.evaluations}
            expected = [
                e for e in convention.get_expected_evaluations(delays)
                if (e.kind, e.year) not in known]
            if expected:
                missing.append((convention, expected[0]))
            else:
                shown += convention.evaluations
        shown += Evaluation.prepare(missing)
        return {'res_id': [e.id for e in shown]}

    @classmethod
    def _check_evaluated(cls, conventions):
        for convention in conventions:
            if convention.state not in EVALUATED_STATES:
                raise TransitionError(gettext(
                        'pacte_grants.msg_evaluation_convention_state',
                        convention=convention.rec_name,
                        state=convention.state_label))


class Evaluation(metaclass=PoolMeta):
    __name__ = 'grant.evaluation'

    @classmethod
    def create(cls, vlist):
        vlist = [v.copy() for v in vlist]
        cls._set_due_dates(vlist)
        return super().create(vlist)

    @classmethod
    def _set_due_dates(cls, vlist):
        "The terms give the date where nobody does."
        Convention = Pool().get('grant.convention')
        to_date = [
            v for v in vlist if v.get('convention') and not v.get('due_date')]
        if not to_date:
            return
        delays = _Delays()
        conventions = {
            c.id: c for c in Convention.browse(
                list({v['convention'] for v in to_date}))}
        for values in to_date:
            convention = conventions[values['convention']]
            kind = values.get('kind') or cls.default_kind()
            year = values.get('year') or cls.default_year()
            values['due_date'] = next((
                    e.due_date
                    for e in convention.get_expected_evaluations(delays)
                    if (e.kind, e.year) == (kind, year)), None)

    @classmethod
    @without_check_access
    def prepare(cls, pairs):
        "Create the ``Expected`` evaluations of the pairs with a convention."
        return cls.create([{
                    'company': convention.company.id,
                    'convention': convention.id,
                    'kind': expected.kind,
                    'year': expected.year,
                    'due_date': expected.due_date,
                    } for convention, expected in pairs])

    @classmethod
    @company_by_company
    def prepare_daily(cls, company):
        """Prepare the evaluations whose time has come; what the smallest
        grants owe is asked by hand."""
        pool = Pool()
        Convention = pool.get('grant.convention')
        today = pool.get('ir.date').today()
        delays = _Delays()
        pairs = []
        for convention in Convention.search([
                    ('company', '=', company.id),
                    ('state', 'in', ['active', 'closing']),
                    ('scheme.level', '!=', 'light'),
                    ]):
            known = {(e.kind, e.year) for e in convention.evaluations}
            notice = relativedelta(months=delays.get(
                    'EVALUATION_NOTICE', today))
            pairs += [
                (convention, e)
                for e in convention.get_expected_evaluations(delays)
                if (e.kind, e.year) not in known
                and e.due_date - notice <= today]
        if pairs:
            cls.prepare(pairs)


class Measure(metaclass=PoolMeta):
    __name__ = 'grant.measure'

    @classmethod
    def create(cls, vlist):
        measures = super().create(vlist)
        Evaluation = Pool().get('grant.evaluation')
        conventions = {m.indicator.convention.id for m in measures}
        with without_check_access():
            for sub in grouped_slice(conventions, SLICE):
                evaluations = Evaluation.search([
                        ('convention', 'in', list(sub)),
                        ('state', '!=', 'validated'),
                        ])
                if evaluations:
                    Evaluation.refresh(evaluations)
        return measures


class Reminder(metaclass=PoolMeta):
    __name__ = 'grant.reminder'

    @classmethod
    def get_records(cls):
        IrModel = Pool().get('ir.model')
        return super().get_records() + [
            ('grant.evaluation', IrModel.get_name('grant.evaluation'))]


class Due(metaclass=PoolMeta):
    __name__ = 'grant.due'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        for status in [
                ('to_send', "Grid to Send"),
                ('to_fill', "Grid to Fill In"),
                ('to_share', "Views to Share"),
                ('to_validate', "To Be Validated")]:
            if status not in cls.status.selection:
                cls.status.selection.append(status)

    @classmethod
    def _rules(cls):
        return super()._rules() + [('evaluation', cls._evaluation)]

    @classmethod
    def _evaluation(cls):
        pool = Pool()
        evaluation = pool.get('grant.evaluation').__table__()
        convention = pool.get('grant.convention').__table__()
        waiting = evaluation.partner_recorded_on == Null
        asked = waiting & (evaluation.sent_on != Null)
        shared = evaluation.state == 'shared'
        return evaluation.join(
            convention,
            condition=evaluation.convention == convention.id).select(
                evaluation.id.as_('id'),
                evaluation.company.as_('company'),
                convention.party.as_('party'),
                evaluation.due_date.as_('due_date'),
                convention.id.as_('convention'),
                evaluation.officer.as_('officer'),
                cls._reference(
                    'grant.evaluation', evaluation.id).as_('record'),
                Case(
                    (shared, 'to_validate'),
                    (asked, 'to_fill'),
                    (waiting, 'to_send'),
                    else_='to_share').as_('status'),
                Case(
                    (asked & ~shared, 'partner'),
                    (shared & (evaluation.complete == Literal(True)),
                        'manager'),
                    else_='officer').as_('whose_turn'),
                Literal(False).as_('blocking'),
                where=(evaluation.state != 'validated')
                & convention.state.in_(EVALUATED_STATES))

    @classmethod
    def get_what(cls, dues, names):
        result = super().get_what(dues, names)
        records = {}
        for row in cls.read([d.id for d in dues], ['record', 'kind']):
            if row['kind'] != 'evaluation':
                continue
            records[row['id']] = int(row['record'].split(',')[1])
        Evaluation = Pool().get('grant.evaluation')
        found = {
            e.id: e for e in Evaluation.browse(list(set(records.values())))}
        for id_, evaluation in records.items():
            if 'what' in names:
                result['what'][id_] = found[evaluation].rec_name
            if 'blocks_text' in names:
                result['blocks_text'][id_] = None
        return result

    def _describe(self):
        if self.kind == 'evaluation':
            return gettext('pacte_grants.msg_evaluation_reminder')
        return super()._describe()


class Cron(metaclass=PoolMeta):
    __name__ = 'ir.cron'

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls.method.selection.append((
                'grant.evaluation|prepare_daily',
                "Prepare the Evaluations Whose Time Has Come"))
