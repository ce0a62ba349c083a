# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The pact: défis, ambitions, leviers and actions, as a tree."

from trytond.model import (
    DeactivableMixin, Index, ModelSQL, ModelView, Unique, fields,
    sequence_ordered)
from trytond.pyson import Eval, If
from trytond.tools import is_full_text, lstrip_wildcard

KINDS = [
    ('challenge', "Challenge"),
    ('ambition', "Ambition"),
    ('lever', "Lever"),
    ('action', "Action"),
    ]
DOMAINS = [
    ('youth', "Youth"),
    ('education', "Education"),
    ('culture', "Culture"),
    ('sport', "Sport"),
    ]
TITLE_LENGTH = 80


def shorten(text, length=TITLE_LENGTH):
    "Return text cut at a word so that it has at most length characters."
    text = ' '.join((text or '').split())
    if len(text) <= length:
        return text
    head = text[:length]
    if ' ' in head:
        head = head[:head.rindex(' ')]
    return head.rstrip(' ,;:') + '…'


class Orientation(
        sequence_ordered(), DeactivableMixin, ModelSQL, ModelView):
    __name__ = 'grant.orientation'
    __string__ = "Orientation of the Pact"

    kind = fields.Selection(KINDS, "Kind", required=True, sort=False)
    kind_string = kind.translated('kind')
    code = fields.Char("Code", required=True)
    name = fields.Text("Title", required=True)
    parent = fields.Many2One(
        'grant.orientation', "Parent", path='path', ondelete='RESTRICT',
        states={
            'required': Eval('kind') != 'challenge',
            'invisible': Eval('kind') == 'challenge',
            },
        domain=[
            If(Eval('kind') == 'challenge',
                ('id', '=', None),
                If(Eval('kind') == 'ambition',
                    ('kind', '=', 'challenge'),
                    ('kind', '=', 'ambition'))),
            ])
    path = fields.Char("Path")
    children = fields.One2Many('grant.orientation', 'parent', "Children")
    domains = fields.MultiSelection(
        DOMAINS, "Domains", sort=False,
        help="The policies which the orientation belongs to.")
    ambition = fields.Function(
        fields.Many2One('grant.orientation', "Ambition"),
        'get_ambition', searcher='search_ambition')

    @classmethod
    def __setup__(cls):
        cls.code.search_unaccented = False
        cls.path.search_unaccented = False
        super().__setup__()
        t = cls.__table__()
        cls._sql_constraints = [
            ('code_unique', Unique(t, t.code),
                'pacte_grants.msg_orientation_code_unique'),
            ]
        cls._sql_indexes.update({
                Index(t, (t.parent, Index.Range())),
                Index(t, (t.path, Index.Similarity(begin=True))),
                })
        cls._order = [
            ('sequence', 'ASC NULLS LAST'), ('code', 'ASC'), ('id', 'ASC')]

    @classmethod
    def get_ambition(cls, orientations, name):
        "The ambition itself, or that of a lever or an action."
        ambitions = {}
        for orientation in orientations:
            if orientation.kind == 'ambition':
                ambitions[orientation.id] = orientation.id
            elif orientation.kind in {'lever', 'action'}:
                ambitions[orientation.id] = orientation.parent.id
            else:
                ambitions[orientation.id] = None
        return ambitions

    @classmethod
    def search_ambition(cls, name, clause):
        _, operator, operand, *extra = clause
        nested = clause[0][len(name) + 1:]
        if not nested:
            nested = 'rec_name' if isinstance(operand, str) else 'id'
        return ['OR',
            [('kind', '=', 'ambition'), (nested, operator, operand, *extra)],
            [
                ('kind', 'in', ['lever', 'action']),
                ('parent.' + nested, operator, operand, *extra)],
            ]

    def get_rec_name(self, name):
        return '%s %s' % (self.code, shorten(self.name))

    @classmethod
    def search_rec_name(cls, name, clause):
        _, operator, operand, *extra = clause
        if operator.startswith('!') or operator.startswith('not '):
            bool_op = 'AND'
        else:
            bool_op = 'OR'
        code_value = operand
        if operator.endswith('like') and is_full_text(operand):
            code_value = lstrip_wildcard(operand)
        return [bool_op,
            ('code', operator, code_value, *extra),
            ('name', operator, operand, *extra),
            ]

    @classmethod
    def copy(cls, orientations, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('code', lambda d: d['code'] + ' bis')
        default.setdefault('children', None)
        return super().copy(orientations, default=default)
