# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"What ends one convention never touches another one of the same partner."
import datetime as dt

from trytond.model import fields
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import Dossier, RefusalCase, forget, set_state

# The records of a convention, by the field that leads to it
MODELS = {
    'grant.convention': 'id',
    'grant.tranche': 'convention',
    'grant.instalment': 'convention',
    'grant.condition': 'convention',
    'grant.decision': 'application.convention',
    'grant.application': 'convention',
    'grant.financial_report': 'convention',
    'grant.approval': 'instalment.convention',
    'grant.recovery': 'convention',
    'grant.hold': 'convention',
    }
# What says when a record was last looked at, not what it says
ASIDE = {'write_date', 'write_uid', 'revision'}


class OneConventionTestCase(RefusalCase):
    """Two conventions of one partner, each with an advance approved and a
    balance; a third one whose text was not signed, a fourth one in draft"""

    @classmethod
    def prepare(cls):
        road = cls.road
        party = road.create_party()
        conventions = []
        for _ in range(2):
            conventions.append(road.to_active(party=party))
            with road.system():
                road.session = road.create_session()
        ended, other = conventions
        advance = other.instalments[0]
        road.press('claire', advance, 'certify')
        road.press('paul', advance, 'approve')
        application, issued = road.to_agreed(party=party)
        deliberation = road.schedule(application)
        road.hold()
        road.vote(deliberation)
        road.make_executory(deliberation)
        road.press('claire', issued, 'issue')
        draft = road.open_convention(
            road.review(road.create_application(party=party)))
        cls.dossier = Dossier(
            ended=ended, other=other, issued=issued, draft=draft,
            envelope=road.envelope)

    def read(self, convention):
        "Return all that is stored of the convention and what is computed."
        forget()
        pool, found = Pool(), {}
        cursor = Transaction().connection.cursor()
        for name, path in MODELS.items():
            Model = pool.get(name)
            records = Model.search([(path, '=', convention.id)])
            table = Model.__table__()
            columns = sorted(
                field for field, declared in Model._fields.items()
                if field not in ASIDE
                and not isinstance(declared, fields.Function)
                and declared._sql_type)
            cursor.execute(*table.select(
                    *(getattr(table, c) for c in columns),
                    where=table.id.in_([r.id for r in records] or [-1]),
                    order_by=[table.id]))
            found[name] = [
                dict(zip(columns, row, strict=True)) for row in cursor]
        convention = self.road.fresh(convention)
        commitments = [
            d.commitment for d in convention.decisions if d.commitment]
        found['commitments'] = [
            (c.id, c.state, c.amount) for c in commitments]
        found['amounts'] = [
            convention.voted_amount, convention.paid_amount,
            convention.remaining_amount]
        found['blockers'] = [
            (i.id, i.due_since, i.pay_before, i.whose_turn,
                sorted(b.code for b in i.blockers))
            for i in convention.instalments]
        found['payments'] = [
            (p.id, p.state, p.amount) for p in pool.get(
                'account.payment').search([
                    ('instalment.convention', '=', convention.id)])]
        return found

    def assertAlone(self, convention, state, act):
        """The act brings the convention to the state; of the others nothing
        moves."""
        others = [
            c for c in [
                self.dossier.ended, self.dossier.other, self.dossier.issued,
                self.dossier.draft]
            if c.id != convention.id]
        before = [self.read(c) for c in others]
        for found in before[:1]:
            self.assertTrue(
                found['grant.instalment'] and found['grant.condition'])
        act(convention)
        self.assertState(convention, state)
        for other, found in zip(others, before, strict=True):
            now = self.read(other)
            for name, rows in found.items():
                self.assertEqual(now[name], rows, (other.rec_name, name))

    def test_terminated(self):
        road = self.road

        def terminate(convention):
            procedure = road.hear_termination(convention, "Sans suite")
            road.press('marc', procedure, 'decide')

        self.assertAlone(self.dossier.ended, 'terminated', terminate)
        self.assertEqual(
            {i.state for i in self.dossier.ended.instalments}, {'cancelled'})
        advance, balance = self.dossier.other.instalments
        self.assertEqual(
            (advance.state, balance.state), ('approved', 'planned'))

    def test_cancelled(self):
        road = self.road

        def cancel(convention):
            road.write('claire', convention, ending_reason="Erreur")
            road.press('claire', convention, 'cancel')

        self.assertAlone(self.dossier.draft, 'cancelled', cancel)

    def test_lapsed(self):
        road = self.road
        issued = set_state(
            self.dossier.issued, 'issued',
            issued_on=road.today - dt.timedelta(days=90),
            signature_reminded_on=road.today - dt.timedelta(days=20))

        def lapse(convention):
            with road.as_user('claire'):
                procedure, = Pool().get('grant.procedure').create([{
                            'convention': convention.id, 'kind': 'lapse',
                            'facts': "Texte non retourné."}])
            road.press('claire', procedure, 'notify')
            road.write(
                'claire', procedure, observations="Rien à dire.",
                observations_on=road.today)
            road.press('claire', procedure, 'hear')
            road.write(
                'marc', procedure, outcome='upheld', decision="Caduque.")
            road.press('marc', procedure, 'decide')

        self.assertAlone(issued, 'lapsed', lapse)

    def test_renounced(self):
        road = self.road

        def renounce(convention):
            road.write(
                'marc', convention, ending_reason="Le partenaire renonce.")
            road.press('marc', convention, 'renounce')

        self.assertAlone(self.dossier.issued, 'renounced', renounce)
