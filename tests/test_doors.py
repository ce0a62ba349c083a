# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What was voted is frozen whatever the door: form, list, RPC, copy, import,
wizard, library, translation, attachment, replacement of the partner.
"""
import datetime as dt
import json
from decimal import Decimal

from trytond.exceptions import UserError
from trytond.model import fields
from trytond.modules.pacte_grants.version import _get_value
from trytond.pool import Pool
from trytond.transaction import Transaction

from .refusal import RefusalCase, attempt

USERS = ['claire', 'marc', 'sophie', 'paul', 'alice']
_VALUES = {
    'char': "Autre", 'text': "Autre", 'integer': 2033,
    'numeric': Decimal('1.5'), 'date': dt.date(2031, 1, 1),
    }


class DoorsTestCase(RefusalCase):

    @classmethod
    def prepare(cls):
        pool = Pool()
        road = cls.road
        application = road.review(road.create_application())
        convention = road.open_convention(application)
        theme, = pool.get('grant.eco.theme').search([('code', '=', 'DEC')])
        category, *_ = pool.get('grant.tariff.category').search([], limit=1)
        with road.as_user('claire'):
            pool.get('grant.tariff.clause').create([{
                        'convention': convention.id,
                        'code': 'TAR_REDUIT_EXISTE',
                        'categories': [('add', [category.id])]}])
            pool.get('grant.eco.commitment').create([{
                        'convention': convention.id, 'theme': theme.id,
                        'text': "Gobelets lavables", 'starting_score': 1,
                        'target_score': 2}])
        road.press('claire', convention, 'negotiate')
        objective = road.add_objective(convention)
        indicator, = objective.indicators
        with road.as_user('claire'):
            pool.get('grant.indicator.target').create([{
                        'indicator': indicator.id, 'year': road.year,
                        'value': indicator.target}])
        for side in ['partner', 'department']:
            road.press('claire', objective, f'agree_{side}')
        road.press('claire', convention, 'agree')
        deliberation = road.schedule(road.fresh(application))
        road.hold()
        road.make_executory(road.vote(deliberation))
        convention = road.sign_and_notify(road.fresh(convention))
        cls.convention_id = convention.id
        cls.content = cls.read_content()
        for part, entries in json.loads(cls.content).items():
            assert entries, part
        cls.covered = {r.__name__ for r in cls.parts()}

    @classmethod
    def get_convention(cls):
        return Pool().get('grant.convention')(cls.convention_id)

    @classmethod
    def read_content(cls):
        "The text, and what it says in other words: parameters, rows between."
        convention = cls.get_convention()
        return json.dumps({
                **convention.get_content(),
                'values': [
                    [str(r), n, (
                            [x.id for x in getattr(r, n)]
                            if r._fields[n]._type == 'many2many'
                            else _get_value(r, n))]
                    for r in cls.parts() if hasattr(r, 'amended_names')
                    for n in r.amended_names()
                    if r._fields[n]._type != 'one2many'],
                'links': [
                    [str(c), sorted(i.id for i in c.blocks)]
                    for c in convention.conditions],
                'kept': [
                    [str(d), d.sha256, d.state]
                    for d in convention.documents]
                + [[str(v), v.content] for v in convention.text_versions],
                }, default=str)

    @classmethod
    def names(cls, record):
        "The names of what was agreed in the record."
        names = record.content_names()
        if hasattr(record, 'amended_names'):
            names = {*names, *record.amended_names()}
        return sorted(names)

    @classmethod
    def parts(cls):
        "The records of the text."
        convention = cls.get_convention()
        records = [convention]
        for name in convention._parts:
            records.extend(getattr(convention, name))
        for objective in convention.objectives:
            for indicator in objective.indicators:
                records.append(indicator)
                records.extend(indicator.targets)
        return records

    def try_all(self, act):
        "Let everybody try; the text stays as it is."
        for login in USERS:
            with attempt(), self.road.as_user(login):
                try:
                    act()
                except UserError:
                    # The request is undone.
                    continue
                self.assertEqual(self.read_content(), self.content)

    def tearDown(self):
        super().tearDown()
        self.assertEqual(self.read_content(), self.content)

    def test_written(self):
        for record in self.parts():
            Model = record.__class__
            for name in self.names(record):
                field = Model._fields[name]
                value = _VALUES.get(field._type)
                if value is None or isinstance(field, fields.Function):
                    continue
                with self.subTest(model=Model.__name__, field=name):
                    self.try_all(lambda M=Model, r=record, n=name, v=value:
                        M.write([M(r.id)], {n: v}))

    def test_deleted(self):
        for record in self.parts():
            Model = record.__class__
            with self.subTest(model=Model.__name__):
                self.try_all(
                    lambda M=Model, r=record: M.delete([M(r.id)]))

    def test_copied(self):
        for record in self.parts():
            Model = record.__class__
            # Not refused because the year is there already
            default = {'year': 2040} if 'year' in Model._fields else {}
            with self.subTest(model=Model.__name__):
                self.try_all(lambda M=Model, r=record, d=default:
                    M.copy([M(r.id)], default=d))

    def test_covered(self):
        "Every model that an amendment changes is tried, and what it holds"
        amendable = {
            name for name, Model in Pool().iterobject()
            if 'amends' in getattr(Model, '_fields', {})}
        self.assertLessEqual(amendable | {
                'grant.convention', 'grant.tranche', 'grant.instalment',
                'grant.indicator.target'}, self.covered)

    def test_system(self):
        "Nor does the module's own code, which nobody checks for its rights"
        for record in self.parts():
            Model = record.__class__
            for name in self.names(record):
                field = Model._fields[name]
                value = _VALUES.get(field._type)
                if (value is None or isinstance(field, fields.Function)
                        or Model._guarded(name)):
                    continue
                with self.subTest(model=Model.__name__, field=name), \
                        self.refused(UserError), self.road.system():
                    Model.write([Model(record.id)], {name: value})

    def test_imported(self):
        "A file that names the rows by their numbers changes none of them"
        for record in self.parts():
            Model = record.__class__
            for name in self.names(record):
                field = Model._fields[name]
                value = _VALUES.get(field._type)
                if value is None or isinstance(field, fields.Function):
                    continue
                with self.subTest(model=Model.__name__, field=name):
                    self.try_all(lambda M=Model, r=record, n=name, v=value:
                        M.import_data(['id', n], [[r.id, v]]))

    def test_kept(self):
        "Versions of the text and sealed documents are there for good"
        convention = self.get_convention()
        for record in [
                *convention.text_versions, *convention.documents,
                *(v for o in convention.objectives for v in o.versions)]:
            Model = record.__class__
            for name, field in Model._fields.items():
                value = {'binary': b'autre', **_VALUES}.get(field._type)
                if value is None or isinstance(field, fields.Function):
                    continue
                with self.subTest(model=Model.__name__, field=name):
                    for login in USERS:
                        with self.refused(UserError), \
                                self.road.as_user(login):
                            Model.write([Model(record.id)], {name: value})
            with self.subTest(model=Model.__name__):
                for login in USERS:
                    for act in [Model.delete, Model.copy]:
                        with self.refused(UserError), \
                                self.road.as_user(login):
                            act([Model(record.id)])

    def test_links(self):
        "The rows between two records neither"
        pool = Pool()
        convention = self.get_convention()
        instalment = convention.instalments[0]
        clause, = convention.tariff_clauses
        other, *_ = pool.get('grant.tariff.category').search([
                ('id', 'not in', [c.id for c in clause.categories]),
                ], limit=1)
        for model, domain, values in [
                ('grant.tariff.clause-grant.tariff.category',
                    [('clause', '=', clause.id)],
                    {'clause': clause.id, 'category': other.id}),
                ('grant.condition-grant.instalment',
                    [('condition.convention', '=', convention.id)],
                    {'condition': convention.conditions[0].id,
                        'instalment': instalment.id}),
                ]:
            Model = pool.get(model)
            rows = Model.search(domain)
            self.assertTrue(rows)
            with self.subTest(model=model):
                self.try_all(lambda M=Model, r=rows: M.delete(r))
                self.try_all(lambda M=Model, v=values: M.create([v]))

    def test_wizards(self):
        "Nor what the wizards press"
        pool = Pool()
        road = self.road
        convention = self.get_convention()
        Convention = convention.__class__
        Library = pool.get('grant.library.condition')
        library, *_ = Library.search([], limit=1)
        for name, act in {
                'conditions': lambda: pool.get(
                    'grant.condition').add_from_library(
                        convention, [library], {}, 'department'),
                'correction': lambda: Convention.correct(
                    convention, {'end_date': dt.date(2040, 1, 1)}, "Erreur"),
                'amounts': lambda: Convention.set_amounts([convention]),
                'negotiation': lambda: Convention.renegotiate([convention]),
                }.items():
            with self.subTest(wizard=name):
                self.try_all(act)
        # What an amendment takes up waits for both signatures.
        with attempt():
            road.press('claire', convention, 'open_amendment')
            amendment, = self.get_convention().amendments
            Wizard = pool.get('grant.amendment.take_up', type='wizard')
            with road.as_user('claire'), Transaction().set_context(
                    # A wizard runs without the checks of access.
                    _check_access=False,
                    active_model='grant.amendment', active_id=amendment.id):
                session_id, _, _ = Wizard.create()
                wizard = Wizard(session_id)
                wizard.start.action = 'remove'
                for name in amendment._proposal_models():
                    setattr(wizard.start, name, [
                            r for r in getattr(convention, name)
                            if not getattr(r, 'mandatory', False)]
                        if name != 'clauses' else [])
                wizard.transition_take_up()
            self.assertEqual(self.read_content(), self.content)

    def test_through_the_form(self):
        "The lines of the form, all at once"
        Convention = Pool().get('grant.convention')
        convention = self.get_convention()
        for name in convention._parts:
            ids = [r.id for r in getattr(convention, name)]
            default = {'year': 2040} if name == 'tranches' else {}
            for action in [
                    ('delete', ids), ('remove', ids),
                    ('copy', ids, default), ('create', [{}])]:
                with self.subTest(part=name, action=action[0]):
                    self.try_all(lambda n=name, a=action: Convention.write(
                            [Convention(self.convention_id)], {n: [a]}))

    def test_library(self):
        "What the texts were copied from changes without them"
        pool = Pool()
        for model in [
                'grant.scheme.condition', 'grant.scheme.tariff.clause',
                'grant.clause', 'grant.library.condition',
                'grant.library.objective', 'grant.library.indicator',
                'grant.eco.action', 'grant.tariff.category']:
            Model = pool.get(model)
            records = Model.search([])
            for name in ['text', 'title', 'name', 'description']:
                if name not in Model._fields:
                    continue
                with self.subTest(model=model, field=name), attempt(), \
                        self.road.system():
                    for record in records:
                        try:
                            Model.write([record], {name: "Autre texte"})
                        except UserError:
                            pass
                    self.assertEqual(self.read_content(), self.content)

    def test_translated(self):
        "A text of the contract has no second version in a translation"
        for record in self.parts():
            for name in self.names(record):
                with self.subTest(model=record.__name__, field=name):
                    self.assertFalse(getattr(
                            record._fields[name], 'translate', False))

    def test_attached(self):
        "Attachments are beside the sealed documents, not in them"
        Attachment = Pool().get('ir.attachment')
        convention = self.get_convention()
        document, = convention.documents
        with attempt(), self.road.as_user('claire'):
            attachment, = Attachment.create([{
                        'resource': str(convention), 'name': 'convention.pdf',
                        'type': 'data', 'data': b'autre'}])
            Attachment.delete([attachment])
            self.assertEqual(self.read_content(), self.content)
        self.assertTrue(document.intact)
        for login in USERS:
            with self.refused(UserError), self.road.as_user(login):
                document.__class__.delete([document])
            with self.refused(UserError), self.road.as_user(login):
                document.__class__.write([document], {'data': b'autre'})

    def test_partner_replaced(self):
        "The issued document names the partner as it was"
        pool = Pool()
        Replace = pool.get('party.replace', type='wizard')
        road = self.road
        former = self.get_convention().party
        document, = self.get_convention().documents
        name = document.partner_name
        other = road.create_party(siret=None)
        with attempt(), road.system(), Transaction().set_context(
                active_model='party.party', active_id=former.id):
            session_id, _, _ = Replace.create()
            replace = Replace(session_id)
            replace.ask.source = former
            replace.ask.destination = other
            try:
                replace.transition_replace()
            except UserError:
                pass
            document = document.__class__(document.id)
            self.assertEqual(document.partner_name, name)
            self.assertTrue(document.intact)
