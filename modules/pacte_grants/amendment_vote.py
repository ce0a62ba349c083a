# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The votes on amendments and on the applications that they join."
from collections import defaultdict
from decimal import Decimal

from trytond.i18n import gettext
from trytond.model import Index, ModelView, fields
from trytond.pool import Pool, PoolMeta
from trytond.pyson import Bool, Eval

from .check import bulleted, money
from .convention import LIVE_STATES
from .exceptions import (
    AmountError, CompletenessError, FrozenError, TransitionError)
from .mixin import acting_user


class Amendment(metaclass=PoolMeta):
    __name__ = 'grant.amendment'

    vote_reasons = fields.Function(
        fields.Text("Why a Vote"), 'get_vote_reasons')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._buttons.update({
                'schedule': {
                    'invisible': (
                        (Eval('state') != 'agreed') | ~Eval('vote_required')
                        | Bool(Eval('voted_on'))),
                    'readonly': ~Eval('next_deliberation'),
                    'depends': [
                        'state', 'vote_required', 'voted_on',
                        'next_deliberation'],
                    },
                'unschedule': {
                    'invisible': (
                        (Eval('state') != 'agreed') | ~Eval('vote_required')
                        | Bool(Eval('voted_on'))),
                    'depends': ['state', 'vote_required', 'voted_on'],
                    },
                })

    @classmethod
    def get_vote_reasons(cls, amendments, name):
        return {
            a.id: bulleted(a.compute_vote_reasons()) or None
            for a in amendments}

    def compute_vote_reasons(self):
        """Return, in sentences, why the amendment goes to a vote; an empty
        list if it may be signed by delegation.

        What was voted for a year is changed by a vote only (L14), as is
        what upheaves the economy of the convention: its total beyond a
        share, its end beyond a delay, its holder.
        """
        Parameter = Pool().get('grant.parameter')
        convention = self.convention
        reasons = []

        def add(message, **names):
            reasons.append(gettext(
                    f'pacte_grants.msg_amendment_vote_{message}', **names))

        for line in self.tranches:
            if line.voted and line.difference:
                add('tranche', year=line.year, amount=money(line.difference))
        former = self._get_unvoted()
        delegated = sum((
                line.difference for a in former for line in a.tranches
                if not line.voted), Decimal(0))
        change = sum((line.difference for line in self.tranches), Decimal(0))
        total = delegated + change
        share = Parameter.get('AMENDMENT_VOTE_SHARE')
        if change and abs(total) > (convention.amount - delegated) * share:
            add('total', amount=money(total))
        if self.new_end_date:
            end_date = former[-1].former_end_date if former else None
            days = (
                self.new_end_date - (end_date or convention.end_date)).days
            limit = int(Parameter.get('AMENDMENT_VOTE_DAYS'))
            if abs(days) > limit:
                add('days', days=days, limit=limit)
        if self.new_party:
            add('party', party=self.new_party.rec_name)
        if self.vote_asked:
            add('asked')
        return reasons

    def _get_unvoted(self):
        """Return the amendments in force since the last one that was voted,
        the last first: what was delegated step by step adds up."""
        unvoted = []
        for amendment in self.convention.amendments:
            if amendment.state != 'effective':
                continue
            if amendment.vote_required:
                break
            unvoted.append(amendment)
        return unvoted

    def _get_vote_gaps(self):
        "Return the years whose change is not the one that was voted."
        voted = defaultdict(Decimal)
        for decision in self.decisions:
            if decision.outcome == 'granted':
                voted[decision.application.year] += (
                    decision.sign * decision.amount)
        for application in self.applications:
            voted[application.year] += application.granted_amount
        gaps = []
        lines = {line.year: line for line in self.tranches if line.voted}
        for year in sorted(voted.keys() | lines.keys()):
            change = lines[year].difference if year in lines else Decimal(0)
            if change != voted[year]:
                gaps.append(gettext(
                        'pacte_grants.msg_amendment_vote_gap', year=year,
                        amount=money(change), voted=money(voted[year])))
        return gaps

    @property
    def agenda_lines(self):
        "The lines of the agenda that bring the amendment to a vote."
        return [d for d in self.decisions if d.on_agenda]

    def _check_not_scheduled(self):
        if self.agenda_lines or any(
                a.state == 'scheduled' for a in self.applications):
            raise FrozenError(gettext(
                    'pacte_grants.msg_amendment_scheduled',
                    amendment=self.rec_name))

    @classmethod
    @ModelView.button
    def schedule(cls, amendments):
        """Put the amendments on the agenda of their deliberation: increases
        are reserved on the envelopes of their years."""
        Decision = Pool().get('grant.decision')
        by_deliberation = defaultdict(list)
        for amendment in cls.claim(amendments):
            deliberation = amendment.next_deliberation
            amendment._check_not_scheduled()
            if (not deliberation or deliberation.state != 'draft'
                    or deliberation.session.state
                    not in {'draft', 'convened'}):
                raise CompletenessError(gettext(
                        'pacte_grants.msg_amendment_deliberation',
                        amendment=amendment.rec_name))
            by_deliberation[deliberation].append(amendment)
            if not amendment.decided_separately or amendment.voted_on:
                raise TransitionError(gettext(
                        'pacte_grants.msg_amendment_no_own_vote',
                        amendment=amendment.rec_name))
        for deliberation, sub in by_deliberation.items():
            Decision.propose_amendments(sub, deliberation)

    @classmethod
    @ModelView.button
    def unschedule(cls, amendments):
        Decision = Pool().get('grant.decision')
        Decision.remove([
                d for a in cls.claim(amendments) for d in a.agenda_lines])

    @property
    def joined_amounts(self):
        "What the joined applications propose (euros), by year."
        amounts = defaultdict(Decimal)
        for application in self.applications:
            amounts[application.year] += (
                application.proposed_amount or Decimal(0))
        return amounts

    def get_voted_changes(self):
        """Return the applications of the voted years that change and by how
        much (euros), beside what joined applications bring; the first
        application and zero if no voted amount changes."""
        joined = self.joined_amounts
        own = {}
        for application in self.convention.applications:
            if application.state == 'granted':
                own.setdefault(application.year, application)
        changes = [
            (own[line.year], line.difference - joined[line.year])
            for line in self.tranches
            if line.voted and line.difference != joined[line.year]]
        if not changes:
            changes = [(own[min(own)], Decimal(0))]
        return changes

    @property
    def decided_separately(self):
        """Whether the amendment needs a vote of its own beside those of the
        applications that it joins to the convention."""
        return not self.applications or any(
            change for _, change in self.get_voted_changes())

    @property
    def all_decisions(self):
        "The votes on the amendment and on the applications that it joins."
        return [
            d for d in [
                *self.decisions,
                *(d for a in self.applications for d in a.decisions)]
            if d.outcome == 'granted'
            and d.deliberation.state in {'voted', 'executory'}]

    @classmethod
    def _give_up_votes(cls, amendments):
        """Let what was voted for amendments that will not be signed go: its
        commitments, and the applications that did not reach a vote."""
        pool = Pool()
        Application = pool.get('grant.application')
        Commitment = pool.get('grant.commitment')
        for amendment in amendments:
            for application in amendment.applications:
                if application.state == 'granted':
                    raise FrozenError(gettext(
                            'pacte_grants.msg_amendment_cancel_granted',
                            amendment=amendment.rec_name,
                            application=application.rec_name))
        voted = [a for a in amendments if a.all_decisions]
        pool.get('grant.event').add([{
                    'record': a.convention, 'name': 'amendments',
                    'before': a.state_label,
                    'after': a._state_label('cancelled'),
                    'reason': a.reason_ending,
                    } for a in voted])
        Commitment.release([
                d.commitment for a in voted for d in a.decisions
                if d.commitment and d.commitment.state == 'committed'])
        Application.write([
                p for a in amendments for p in a.applications
                if p.state in {'admissible', 'reviewed'}],
            {'amendment': None})


class Decision(metaclass=PoolMeta):
    __name__ = 'grant.decision'

    amendment = fields.Many2One(
        'grant.amendment', "Amendment", readonly=True, ondelete='RESTRICT')

    @classmethod
    def __setup__(cls):
        super().__setup__()
        cls._server_fields = cls._server_fields | {'amendment'}
        table = cls.__table__()
        cls._sql_indexes.add(
            Index(table, (table.amendment, Index.Equality())))

    def get_rec_name(self, name):
        if self.amendment:
            return (
                f'{self.deliberation.number} – {self.amendment.rec_name}')
        return super().get_rec_name(name)

    @property
    def founding(self):
        return (
            super().founding and not self.amendment
            and not self.application.amendment)

    @classmethod
    def propose_amendments(cls, amendments, deliberation):
        """Put the amendments on the agenda: one line for each voted year
        whose amount changes, or one without amount; increases are reserved
        on the envelope of the application of the year."""
        Commitment = Pool().get('grant.commitment')
        user = acting_user(gettext('pacte_grants.msg_act_schedule'))
        recusals = cls.propose_recusals([a.party for a in amendments])
        vlist = []
        for amendment in amendments:
            changes = amendment.get_voted_changes()
            for application, change in changes:
                commitment = None
                if change > 0:
                    commitment, = Commitment.create([{
                                **cls._commitment_values(application, change),
                                'party': amendment.party.id,
                                }])
                vlist.append({
                        'company': amendment.company.id,
                        'deliberation': deliberation.id,
                        'application': application.id,
                        'amendment': amendment.id,
                        'kind': (
                            'complement' if change > 0
                            else 'reduction' if change < 0
                            else 'amendment'),
                        'envelope': (
                            application.envelope.id if application.envelope
                            else None),
                        'commitment': commitment.id if commitment else None,
                        'proposed_amount': abs(change),
                        'proposed_by': user.id,
                        'recusals': [
                            ('add', sorted(recusals[amendment.party.id]))],
                        })
        return cls.create(vlist)

    @classmethod
    def record_votes(cls, decisions):
        super().record_votes([d for d in decisions if not d.amendment])
        cls._record_amendments([d for d in decisions if d.amendment])

    @classmethod
    def _record_amendments(cls, decisions):
        pool = Pool()
        Amendment = pool.get('grant.amendment')
        Envelope = pool.get('grant.envelope')
        Envelope.claim(list({d.envelope for d in decisions if d.envelope}))
        Amendment.claim(list({d.amendment for d in decisions}))
        by_date = defaultdict(list)
        for decision in cls._record_outcomes(decisions)['granted']:
            by_date[decision.deliberation.session.date].append(
                decision.amendment)
        for date, amendments in by_date.items():
            Amendment.write(list(set(amendments)), {'voted_on': date})

    @classmethod
    def undo_votes(cls, decisions):
        super().undo_votes([d for d in decisions if not d.amendment])
        cls._undo_amendments([d for d in decisions if d.amendment])

    @classmethod
    def _undo_amendments(cls, decisions):
        Amendment = Pool().get('grant.amendment')
        decisions = cls.browse(decisions)
        for decision in decisions:
            if decision.amendment.state != 'agreed':
                raise FrozenError(gettext(
                        'pacte_grants.msg_amendment_undo_vote',
                        amendment=decision.amendment.rec_name,
                        state=decision.amendment.state_label))
        for decision in decisions:
            decision.back_to_proposal()
        Amendment.write(
            list({d.amendment for d in decisions}), {'voted_on': None})


class Application(metaclass=PoolMeta):
    __name__ = 'grant.application'

    amendment = fields.Many2One(
        'grant.amendment', "Joined by the Amendment", readonly=True,
        ondelete='RESTRICT',
        help="The amendment that brings the application into a convention "
        "that is in force.")

    @classmethod
    def __setup__(cls):
        super().__setup__()
        table = cls.__table__()
        cls._sql_indexes.add(
            Index(table, (table.amendment, Index.Equality())))
        cls._buttons.update({
                'join_convention': {
                    'invisible': (
                        ~Eval('state').in_(['admissible', 'reviewed'])
                        | Bool(Eval('convention'))
                        | Bool(Eval('amendment'))),
                    'depends': ['state', 'convention', 'amendment'],
                    },
                'leave_amendment': {
                    'invisible': (
                        ~Eval('state').in_(['admissible', 'reviewed'])
                        | Bool(Eval('convention'))
                        | ~Bool(Eval('amendment'))),
                    'depends': ['state', 'convention', 'amendment'],
                    },
                })

    @classmethod
    def copy(cls, applications, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('amendment', None)
        return super().copy(applications, default=default)

    @classmethod
    @ModelView.button_action('pacte_grants.act_amendment_of_convention')
    def join_convention(cls, applications):
        """Bring the applications into the convention that their partner has
        for the year, by an amendment."""
        pool = Pool()
        Amendment = pool.get('grant.amendment')
        Convention = pool.get('grant.convention')
        Line = pool.get('grant.amendment.tranche')
        amendments = []
        for application in cls.claim(applications):
            cls._check_join(application)
            conventions = Convention.search([
                    ('company', '=', application.company.id),
                    ('party', '=', application.party.id),
                    ('form', '=', 'convention'),
                    ('state', 'in', sorted(LIVE_STATES)),
                    ('tranches.year', '=', application.year),
                    ], limit=1)
            if not conventions:
                raise CompletenessError(gettext(
                        'pacte_grants.msg_application_no_convention',
                        application=application.rec_name,
                        party=application.party.rec_name,
                        year=application.year))
            amendment = Amendment(
                Convention.open_amendment(conventions)['res_id'][0])
            amendment.check_draft()
            cls.write([application], {'amendment': amendment.id})
            lines = [
                x for x in amendment.tranches if x.year == application.year]
            if lines:
                line, = lines
                Line.write([line], {
                        'amount': line.amount + application.proposed_amount})
            else:
                tranche, = [
                    t for t in conventions[0].tranches
                    if t.year == application.year]
                Line.create([{
                            'amendment': amendment.id,
                            'year': application.year,
                            'amount': (
                                tranche.amount
                                + application.proposed_amount),
                            }])
            amendments.append(amendment)
        return {'res_id': [a.id for a in amendments]}

    @classmethod
    def get_granted_amount(cls, applications, name):
        # What was voted for an amendment that nobody signed is not granted.
        amounts = super().get_granted_amount(applications, name)
        for decision in Pool().get('grant.decision').search([
                    ('application', 'in', [a.id for a in applications]),
                    ('amendment.state', '=', 'cancelled'),
                    ('outcome', '=', 'granted'),
                    ('deliberation.state', 'in', ['voted', 'executory']),
                    ]):
            amounts[decision.application.id] -= (
                decision.sign * decision.amount)
        return amounts

    @classmethod
    def _check_join(cls, application):
        cls.check_button([application], 'join_convention')
        if not application.has_proposal:
            raise CompletenessError(gettext(
                    'pacte_grants.msg_convention_open_proposal',
                    application=application.rec_name))

    @classmethod
    @ModelView.button
    def leave_amendment(cls, applications):
        "Take the applications out of the amendment that would join them."
        Line = Pool().get('grant.amendment.tranche')
        for application in cls.claim(applications):
            cls.check_button([application], 'leave_amendment')
            amendment = application.amendment
            amendment.check_draft()
            for line in amendment.tranches:
                if line.year == application.year:
                    Line.write([line], {
                            'amount': max(
                                line.amount - application.proposed_amount,
                                line.before)})
            cls.write([application], {'amendment': None})

    def check_award(self, form):
        amendment = self.amendment
        if not amendment or self.convention:
            super().check_award(form)
            return
        self.check_proposal()
        if amendment.state != 'agreed':
            raise CompletenessError(gettext(
                    'pacte_grants.msg_schedule_amendment',
                    application=self.rec_name,
                    amendment=amendment.rec_name,
                    state=amendment.state_label))
        if not self.has_proposal:
            raise AmountError(gettext(
                    'pacte_grants.msg_schedule_nothing',
                    application=self.rec_name))
