# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Clauses of some conventions and the copies that partners sign."
from io import BytesIO

from PIL import Image, ImageDraw
from trytond.pool import Pool
from trytond.tools.qrcode import generate_png

# An article of their own, by scheme: title, text
OWN = {
    'CCI': ("Comité de suivi",
        "Les parties réunissent chaque année, avant le 30 juin, un comité de "
        "suivi auquel sont associées les communes qui accueillent une "
        "action."),
    }
# The regime of State aids, by scheme
REGIMES = {'FEST': 'gber_culture', 'EQSP': 'gber_sport'}
# A4 at 100 dots per inch
_PAGE = (827, 1169)


def choose_clauses(office, login, convention, scheme):
    "Choose the regime of State aids and add an article of their own."
    if scheme in REGIMES:
        office.write(login, convention, aid_regime=REGIMES[scheme])
    if scheme in OWN:
        title, text = OWN[scheme]
        office.create(login, 'grant.convention.clause', {
                'convention': convention.id, 'title': title, 'text': text})


def seal_signed_copy(office, login, convention):
    "Record the last page, signed by the partner, as the scanner gave it."
    convention = office.fresh(convention)
    with office.user(login):
        Pool().get('grant.document').seal_scan(
            convention, _last_page(convention),
            f'{convention.number}-signe.pdf')


def _last_page(convention):
    page = Image.new('L', _PAGE, 250)
    draw = ImageDraw.Draw(page)
    lines = [
        f"Convention {convention.number}", convention.party.name, "",
        "Pour le Partenaire,", convention.signatory_capacity or '',
        convention.signatory_name or '']
    for index, line in enumerate(lines):
        draw.text((430, 120 + 30 * index), line, fill=30)
    draw.line(
        [(430, 340), (470, 310), (500, 350), (560, 300), (640, 335)],
        fill=60, width=3)
    code = Image.open(
        generate_png(convention.document.reference, box_size=3))
    page.paste(code.convert('L'), (80, 1020))
    output = BytesIO()
    page.save(output, 'PDF', resolution=100)
    return output.getvalue()
