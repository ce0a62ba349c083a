# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""What changes in a partner without an amendment of its conventions: the
legal representative, the address, the bank account.  The journal keeps who
changed it, when, and both values.
"""
from trytond.model import fields
from trytond.pool import Pool, PoolMeta

_REPRESENTATIVE = ['representative_name', 'representative_capacity']


class Party(metaclass=PoolMeta):
    __name__ = 'party.party'

    events = fields.One2Many(
        'grant.event', 'record', "Journal", readonly=True)

    @classmethod
    def check_modification(cls, mode, parties, values=None, external=False):
        super().check_modification(
            mode, parties, values=values, external=external)
        if mode == 'write':
            Pool().get('grant.event').add([{
                        'record': p, 'name': name,
                        'before': getattr(p, name), 'after': values[name],
                        } for p in parties for name in _REPRESENTATIVE
                    if name in values
                    and (getattr(p, name) or '') != (values[name] or '')])

    @classmethod
    def copy(cls, parties, default=None):
        default = {} if default is None else default.copy()
        default.setdefault('events', None)
        return super().copy(parties, default=default)


class Address(metaclass=PoolMeta):
    __name__ = 'party.address'

    @property
    def _journalled(self):
        return ', '.join(self.full_address.splitlines()) or None

    @classmethod
    def on_write(cls, addresses, values):
        callback = super().on_write(addresses, values)
        before = {
            a.id: (a._journalled if a.active else None) for a in addresses}
        callback.append(lambda: cls._journal(addresses, before))
        return callback

    @classmethod
    def on_modification(cls, mode, addresses, field_names=None):
        super().on_modification(mode, addresses, field_names=field_names)
        if mode == 'create':
            # The first address of a partner replaces none.
            cls._journal([
                    a for a in cls.browse(addresses)
                    if len(a.party.addresses) > 1], {})
        elif mode == 'delete':
            Pool().get('grant.event').add([{
                        'record': a.party, 'name': 'addresses',
                        'before': a._journalled,
                        } for a in addresses])

    @classmethod
    def _journal(cls, addresses, before):
        rows = []
        for address in cls.browse(addresses):
            after = address._journalled if address.active else None
            if before.get(address.id) != after:
                rows.append({
                        'record': address.party, 'name': 'addresses',
                        'before': before.get(address.id), 'after': after,
                        })
        Pool().get('grant.event').add(rows)


class AccountParty(metaclass=PoolMeta):
    __name__ = 'bank.account-party.party'

    @property
    def _journalled(self):
        return self.masked_number, bool(self.verified)

    @classmethod
    def set_iban(cls, links, name, value):
        before = {link.id: link._journalled for link in links}
        super().set_iban(links, name, value)
        cls._journal(links, before)

    @classmethod
    def on_write(cls, links, values):
        callback = super().on_write(links, values)
        if values.keys() & {'account', 'owner', 'verified_by'}:
            before = {link.id: link._journalled for link in links}
            callback.append(lambda: cls._journal(links, before))
        return callback

    @classmethod
    def on_modification(cls, mode, links, field_names=None):
        super().on_modification(mode, links, field_names=field_names)
        if mode == 'create':
            cls._journal(links, {})
        elif mode == 'delete':
            Pool().get('grant.event').add([{
                        'record': link.owner, 'name': 'bank_account_links',
                        'before': cls._describe(link._journalled),
                        } for link in links])

    @classmethod
    def _journal(cls, links, before):
        rows = []
        for link in cls.browse(links):
            old, new = before.get(link.id), link._journalled
            if old != new:
                rows.append({
                        'record': link.owner, 'name': 'bank_account_links',
                        'before': cls._describe(old) if old else None,
                        'after': cls._describe(new),
                        })
        Pool().get('grant.event').add(rows)

    @classmethod
    def _describe(cls, journalled):
        number, verified = journalled
        label = cls.__names__(field='verified')['field']
        return f'{number} – {label}' if verified else number


class Erase(metaclass=PoolMeta):
    __name__ = 'party.erase'

    def to_erase(self, party_id):
        Event = Pool().get('grant.event')
        return super().to_erase(party_id) + [
            (Event, [
                    ('record', '=', f'party.party,{party_id}'),
                    ('name', 'in', [*_REPRESENTATIVE, 'addresses']),
                    ], True, ['before', 'after'], [None] * 2),
            ]
