"""Replace Python's SQLite by that of the package pysqlite3.

Python imports this module at its start if its folder is in PYTHONPATH, so the programs that tests
start have the same SQLite.
"""

import sys

import pysqlite3

sys.modules["sqlite3"] = pysqlite3
sys.modules["sqlite3.dbapi2"] = pysqlite3.dbapi2
