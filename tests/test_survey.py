# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"Survey files: what they say, and what is refused where."
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trytond.modules.pacte_grants.survey import SurveyError, read_survey

SCALE = {'minimum': Decimal(1), 'maximum': Decimal(5)}
SHARE = SCALE | {
    'method': 'share', 'column': "Note", 'threshold': Decimal(4)}
MEAN = SCALE | {'method': 'mean', 'column': "Note"}
DISTINCT = {'method': 'distinct', 'column': "Participant"}


def read(text, settings, encoding='utf-8'):
    survey = read_survey(text.encode(encoding), **settings)
    return str(survey.value), survey.answers, survey.ignored


def read_error(data, settings):
    if isinstance(data, str):
        data = data.encode()
    with pytest.raises(SurveyError) as raised:
        read_survey(data, **settings)
    error = raised.value
    return error.code, error.line, error.column, error.text


@pytest.mark.parametrize('text, settings, expected', [
        # 5, 4 and 3 of 4 answers: two of three are satisfied
        ("Date;Note\n1;5\n2;4\n3;\n4;3\n", SHARE, ('66.67', 3, 1)),
        ("Date;Note\n1;5\n2;4\n3;\n4;3\n", MEAN, ('4.00', 3, 1)),
        ("Date,Note\n1,5\n2,4\n", MEAN, ('4.50', 2, 0)),
        ("Date\tNote\n1\t5\n2\t4\n", MEAN, ('4.50', 2, 0)),
        ("Note\n5\n4\n\n4\n", MEAN, ('4.33', 3, 0)),
        # Decimal commas, blanks, another case of the title, quotes
        ("Avis; NOTE \n\"bien; très\"; 4,5 \nbof;1.5\n", MEAN,
            ('3.00', 2, 0)),
        ("Avis,Note\nbien,\"4,5\"\n", MEAN, ('4.50', 1, 0)),
        # Every cell quoted, as survey tools and spreadsheets write them
        ('"Date";"Note"\n"1";"5"\n"2";"4"\n', MEAN, ('4.50', 2, 0)),
        ('"Date","Note"\n"1","4,5"\n', MEAN, ('4.50', 1, 0)),
        ('"Date"\t"Note"\n"1"\t"5"\n', MEAN, ('5.00', 1, 0)),
        ('"Participant";"Date"\n"A1";"1"\n', {'method': 'answers'},
            ('1', 1, 0)),
        # A title with commas does not make columns
        ("Vous, ici, là, bas;Note\noui;4\n", MEAN, ('4.00', 1, 0)),
        # A short line has no answer in what is missing
        ("Date;Note\n1\n2;4\n", MEAN, ('4.00', 1, 1)),
        # More cells than titles, all empty, as spreadsheets write them
        ("Note\n4;;\n", DISTINCT | {'column': "Note"}, ('1', 1, 0)),
        ("Note;\n4;;\n", MEAN, ('4.00', 1, 0)),
        ("Participant;Date\nA1;1\n a1 ;2\nB2;1\n;3\n", DISTINCT,
            ('2', 3, 1)),
        ("Participant;Date\nA1;1\nA1;2\n;3\n;\n", {'method': 'answers'},
            ('3', 3, 1)),
        ])
def test_values(text, settings, expected):
    assert read(text, settings) == expected


@pytest.mark.parametrize(
    'encoding', ['utf-8', 'utf-8-sig', 'cp1252', 'utf-16'])
def test_encodings(encoding):
    settings = MEAN | {'column': "Évaluation"}
    assert read("Âge;Évaluation\n12;4\n", settings, encoding) == (
        '4.00', 1, 0)


@pytest.mark.parametrize('data, settings, expected', [
        ("Note\n5\nbien\n", MEAN, ('number', 3, 1, "bien")),
        ("Date;Note\n1;5\n\n3;6\n", MEAN, ('scale', 4, 2, "6")),
        ("Date;Note\n1;0,9\n", MEAN, ('scale', 2, 2, "0,9")),
        ("Date;Note\n1;1e0\n", MEAN, ('number', 2, 2, "1e0")),
        ("Date;Note\n1;NaN\n", MEAN, ('number', 2, 2, "NaN")),
        # The line of a cell of several lines is its first one
        ("Avis;Note\n\"a\nb\";5\n\"c\nd\";x\n", MEAN, ('number', 4, 2, "x")),
        # A decimal comma that is not quoted
        ("Avis,Note\nbien,4,5\n", MEAN, ('cells', 2, 3, "5")),
        ("Avis;Notes\nbien;4\n", MEAN, ('column', 1, None, "Avis ; Notes")),
        ("Note;note\n3;4\n", MEAN, ('column_twice', 1, None, "Note ; note")),
        ("Avis;Note\n\"bien;4\n", MEAN, ('quotes', 2, None, None)),
        ("\"Avis;Note\nbien;4\n", MEAN, ('quotes', 1, None, None)),
        ("Avis;Note\n", MEAN, ('empty', None, None, None)),
        ("Avis;Note\nbien;\n", MEAN, ('empty', None, None, None)),
        ("", MEAN, ('column', 1, None, "")),
        ("", {'method': 'answers'}, ('empty', None, None, None)),
        (b'PK\x03\x04\x14\x00\x00\x00', MEAN,
            ('encoding', None, None, None)),
        ])
def test_refused(data, settings, expected):
    assert read_error(data, settings) == expected


@given(st.lists(
        st.one_of(st.none(), st.decimals(1, 5, places=2)), min_size=1),
    st.sampled_from(';\t'), st.sampled_from(',.'))
def test_any_notes(notes, delimiter, point):
    "The mean lies among the notes, and every line is told"
    text = ''.join(
        f'{i}{delimiter}{"" if n is None else str(n).replace(".", point)}\n'
        for i, n in enumerate(notes))
    data = f'Rang{delimiter}Note\n{text}'.encode()
    given = [n for n in notes if n is not None]
    if not given:
        assert read_error(data, MEAN)[0] == 'empty'
        return
    survey = read_survey(data, **MEAN)
    assert min(given) <= survey.value <= max(given)
    assert (survey.answers, survey.ignored) == (
        len(given), len(notes) - len(given))
    assert survey == read_survey(data, **MEAN)
