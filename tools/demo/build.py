# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"""Build the demonstration: set up the Département, then live its year.

Everything after the set-up is done by the users, with the rights and the
buttons that they have.
"""
import datetime as dt
from types import SimpleNamespace

from trytond.pool import Pool

from .amendments import Amendments
from .calls import LATE, create_calls
from .clock import Clock
from .closing import prepare_closing
from .dates import Calendar
from .dossiers import DOSSIERS
from .ecos import set_modes
from .envelopes import create_envelopes
from .holds import tell_holds
from .imputations import create_imputations
from .in_kinds import Gifts
from .lives import Life, received_on
from .orders import ask_orders
from .partners import create_partners
from .schemes import create_schemes
from .sessions import Agenda
from .story import Story
from .tariffs import create_clauses, tell_seasons
from .tasks import tell_tasks
from .undertakings import Undertakings, name_library
from .users import create_members, create_office


class AlreadyBuilt(Exception):
    "The database has a company: nothing is added to somebody's data."


def build(today, progress=lambda label: None):
    """Build the demonstration as it stands on the date.

    ``progress`` is called with what has just been built.
    """
    if Pool().get('company.company').search([], limit=1):
        raise AlreadyBuilt()
    clock = Clock(today)
    calendar = Calendar(today)
    with clock.running():
        clock.set(calendar.beginning)
        world = SimpleNamespace(
            clock=clock, calendar=calendar, commitments=0, orders=0)
        world.office = office = create_office()
        progress("Département, services et utilisateurs")
        dossiers = [(d, received_on(d, calendar)) for d in DOSSIERS]
        world.schemes = create_schemes(office)
        set_modes(office, world.schemes)
        create_clauses(office, world.schemes)
        name_library(office)
        create_imputations(office, world.schemes)
        world.envelopes = create_envelopes(office, calendar, DOSSIERS)
        world.calls = create_calls(
            office, calendar,
            [(d, date) for d, date in dossiers if date],
            world.schemes, world.envelopes)
        progress("Dispositifs, campagnes et enveloppes")
        world.partners = create_partners(
            office, calendar, calendar.beginning)
        members = create_members(office, world.partners)
        progress("Partenaires et élus")
        with office.installation():
            # Nothing is left to configure: the first login shows the menu.
            Item = Pool().get('ir.module.config_wizard.item')
            Item.write(Item.search([]), {'state': 'done'})
            world.headings = {
                (h.side, h.code): h.id
                for h in Pool().get('grant.budget.heading').search([])}
        world.agenda = Agenda(office, calendar, DOSSIERS, members)
        story = Story(office, clock)
        world.agenda.tell(story)
        tell_seasons(story, world)
        Undertakings(world).add(story)
        Amendments(world).add(story)
        Gifts(world).add(story)
        for dossier, date in dossiers:
            if date is None:
                date = max(
                    call.closes_on for (code, _), call
                    in world.calls.items() if code == dossier.scheme
                    ) + dt.timedelta(days=LATE)
            story.add(date, Life(dossier, world, date).live())
        story.run()
        tell_holds(world)
        ask_orders(world)
        prepare_closing(world)
        tell_tasks(world)
        progress("Dossiers, séances, conventions et versements")
    return world
