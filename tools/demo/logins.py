# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.
"The users of the demonstration database, one for each role."

PASSWORD = 'pacte2027'

# (role, login, password)
LOGINS = [
    ("Chargée de mission (instruction)", 'claire', PASSWORD),
    ("Chef de service", 'marc', PASSWORD),
    ("Service des assemblées", 'sophie', PASSWORD),
    ("Finances – liquidation", 'paul', PASSWORD),
    ("Finances – second visa", 'nadia', PASSWORD),
    ("Lecture", 'lea', PASSWORD),
    ("Élu(e)", 'jean', PASSWORD),
    ("Administration", 'admin', PASSWORD),
    ]
