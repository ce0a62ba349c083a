# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Renewal: next year's application, prepared from this year's convention.

Nothing is renewed by silence (circulaire of 29 September 2015, article 11):
the application starts as a draft that asks for nothing until the partner
does, goes through review and vote like any other, and shows what came of the
convention before.
"""
from decimal import Decimal

from dateutil.relativedelta import relativedelta

from trytond.i18n import gettext
from trytond.model import Index, ModelView, fields
from trytond.modules.currency.fields import Monetary
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval
from trytond.transaction import without_check_access

from .exceptions import CompletenessError, TransitionError
from .procedure import UNDER_WAY

RENEWABLE = ['active', 'closing', 'closed']
# Applications that renew nothing (any more).
_GIVEN_UP = ['ineligible', 'refused', 'withdrawn', 'renounced']


class Application(metaclass=PoolMeta):
    __name__ = 'grant.application'

    renews = fields.Many2One(
        'grant.convention', "Renews", readonly=True, ondelete='RESTRICT',
        help="The convention of the year before, from which the application "
        "was prepared.")
    former_state = fields.Function(fields.Char(
            "State of the Former Convention"), 'get_former')
    former_requested_amount = fields.Function(Monetary(
            "Requested Last Time", currency='currency', digits='currency'),
        'get_former')
    former_amount = fields.Function(Monetary(
            "Voted Last Time", currency='currency', digits='currency'),
        'get_former')
    former_paid_amount = fields.Function(Monetary(
            "Paid Last Time", currency='currency', digits='currency'),
        'get_former')
    former_attainment = fields.Function(fields.Float(
            "Attainment of the Objectives", digits=(1, 4),
            help="Mean of the measured objectives by their weights."),
        'get_former')
    former_indicators = fields.Function(fields.Many2Many(
            'grant.indicator', None, None, "Objectives and Results"),
        'get_former')
    former_conditions = fields.Function(fields.Many2Many(
            'grant.condition', None, None, "Partner's Undertakings"),
        'get_former')
    former_procedure = fields.Function(fields.Char(
            "Procedure",
            help="The termination, breach or lapse that is under way or was "
            "upheld."),
        'get_former')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_indexes.add(Index(table, (table.renews, Index.Equality())))

    @classmethod
    def view_attributes(cls):
        return super().view_attributes() + [
            ('//page[@id="renewal"]', 'states', {
                    'invisible': ~Bool(Eval('renews')),
                    }, ['renews']),
            ]

    @classmethod
    def get_former(cls, applications, names):
        "What came of the convention that each application renews."
        result = {
            name: dict.fromkeys(
                [a.id for a in applications],
                None if cls._fields[name]._type != 'many2many' else [])
            for name in names}
        conventions = list({a.renews for a in applications if a.renews})
        procedures = {}
        if 'former_procedure' in names:
            procedures = cls._get_former_procedures(conventions)
        for application in applications:
            convention = application.renews
            if not convention:
                continue
            for name in names:
                if name == 'former_procedure':
                    value = procedures.get(convention)
                else:
                    value = getattr(cls, f'_get_{name}')(convention)
                result[name][application.id] = value
        return result

    @classmethod
    def _get_former_procedures(cls, conventions):
        "The procedure of each convention that matters for its renewal."
        Procedure = Pool().get('grant.procedure')
        return {
            p.convention: f'{p.rec_name} ({p.state_label})'
            for p in Procedure.search([
                    ('convention', 'in', [c.id for c in conventions]),
                    ['OR',
                        ('state', 'in', UNDER_WAY),
                        [
                            ('state', 'in', ['decided', 'closed']),
                            ('outcome', '=', 'upheld'),
                            ],
                        ],
                    ], order=[('id', 'ASC')])}

    @classmethod
    def _get_former_state(cls, convention):
        return convention.state_label

    @classmethod
    def _get_former_requested_amount(cls, convention):
        last = convention.last_applications
        return sum((a.requested_amount for a in last), Decimal(0))

    @classmethod
    def _get_former_amount(cls, convention):
        return convention.voted_amount

    @classmethod
    def _get_former_paid_amount(cls, convention):
        return convention.paid_amount

    @classmethod
    def _get_former_attainment(cls, convention):
        return convention.attainment

    @classmethod
    def _get_former_indicators(cls, convention):
        return [
            i.id for o in convention.objectives for i in o.indicators]

    @classmethod
    def _get_former_conditions(cls, convention):
        return [c.id for c in convention.conditions]

    @classmethod
    @ModelView.button
    def submit(cls, applications):
        for application in applications:
            if (application.renews and not application.requested_amount
                    and application.scheme.kind != 'sponsorship'):
                raise CompletenessError(gettext(
                        'pacte_grants.msg_renewal_request',
                        application=application.rec_name,
                        convention=application.renews.rec_name))
        super().submit(applications)


class Convention(metaclass=PoolMeta):
    __name__ = 'grant.convention'

    renewals = fields.One2Many(
        'grant.application', 'renews', "Renewals", readonly=True)

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'prepare_renewal': {
                    'invisible': ~Eval('state').in_(RENEWABLE),
                    'depends': ['state'],
                    },
                })

    @property
    def last_applications(self):
        "The applications of the last year of the convention."
        applications = [
            a for a in self.applications if a.state not in _GIVEN_UP]
        year = max((a.year for a in applications), default=None)
        return [a for a in applications if a.year == year]

    @classmethod
    @ModelView.button_action('pacte_grants.act_application_renewed')
    def prepare_renewal(cls, conventions):
        """Prepare next year's applications from the last ones of each
        convention, and show them: those that exist already, or drafts that
        ask for nothing until the partner does.

        Raise ``TransitionError`` while a procedure is under way or once one
        is upheld, ``CompletenessError`` if there is nothing to renew.
        """
        conventions = cls.claim(conventions)
        cls._check_renewal(conventions)
        result = []
        for convention in conventions:
            existing = [
                a for a in convention.renewals if a.state not in _GIVEN_UP]
            result += existing or convention._renew()
        return {'res_id': [a.id for a in result]}

    @classmethod
    def _check_renewal(cls, conventions):
        Procedure = Pool().get('grant.procedure')
        with without_check_access():
            procedures = {
                p.convention: p for p in Procedure.search([
                        ('convention', 'in', [c.id for c in conventions]),
                        ['OR',
                            ('state', 'in', UNDER_WAY),
                            [
                                ('state', 'in', ['decided', 'closed']),
                                ('outcome', '=', 'upheld'),
                                ],
                            ],
                        ])}
        for convention in conventions:
            if convention.state not in RENEWABLE:
                raise TransitionError(gettext(
                        'pacte_grants.msg_renewal_state',
                        convention=convention.rec_name,
                        state=convention.state_label))
            if procedure := procedures.get(convention):
                raise TransitionError(gettext(
                        'pacte_grants.msg_renewal_procedure',
                        convention=convention.rec_name,
                        procedure=procedure.rec_name,
                        state=procedure.state_label))
            if not convention.last_applications:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_renewal_nothing',
                        convention=convention.rec_name))

    def _renew(self):
        "Return next year's applications, copied from those of the last year."
        Application = Pool().get('grant.application')
        year = 1 + max([
                *(a.year for a in self.last_applications),
                *(t.year for t in self.tranches if t.status != 'refused')])
        applications = []
        with without_check_access():
            for last in self.last_applications:
                shift = relativedelta(years=year - last.year)
                application, = Application.copy([last], default={
                        'year': year,
                        'renews': self.id,
                        'start_date': (
                            last.start_date and last.start_date + shift),
                        'end_date': last.end_date and last.end_date + shift,
                        'requested_amount': Decimal(0),
                        # That of the year is chosen when its budget is known
                        'envelope': None,
                        })
                applications.append(application)
        Pool().get('grant.event').add([{
                    'record': self, 'name': 'prepare_renewal',
                    'after': a.rec_name,
                    } for a in applications])
        return applications

    @classmethod
    def _complete(cls, conventions):
        super()._complete(conventions)
        for convention in cls.browse(conventions):
            formers = []
            for application in convention.applications:
                if (application.renews
                        and application.renews not in formers):
                    formers.append(application.renews)
            for former in formers:
                convention._take_over(former)

    def _take_over(self, former):
        """Propose what the former convention held: objectives with their
        last measures as baselines, and undertakings that the scheme does not
        bring by itself.  Nothing of it is agreed."""
        pool = Pool()
        Objective = pool.get('grant.objective')
        Condition = pool.get('grant.condition')
        if self.form == 'convention':
            baselines = {
                i.id: (
                    i.baseline if i.last_value is None else i.last_value)
                for o in former.objectives for i in o.indicators}
            objectives = Objective.copy(former.objectives, default={
                    'convention': self.id,
                    'indicators.measures': None,
                    # They were aimed at in years that are over.
                    'indicators.targets': None,
                    'indicators.baseline': (
                        lambda data: baselines[data['id']]),
                    })
            Objective.keep_origins(former.objectives, objectives)
        own = {_key(c) for c in self.conditions}
        shift = self.end_date - former.end_date
        Condition.copy(
            [c for c in former.conditions if _key(c) not in own], default={
                'convention': self.id,
                'due_date': lambda data: (
                    data['due_date'] and data['due_date'] + shift),
                })


def _key(condition):
    return condition.kind, ' '.join(condition.text.split())
