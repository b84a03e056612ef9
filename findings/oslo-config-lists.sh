#!/usr/bin/env bash
# oslo.config 10.7.0 reads lists that people write otherwise than they mean them, without a word:
# - quotes round each item: only the outermost two go;
# - a comment in the first column ends a list that goes on over several lines, and an indented one is an item;
# - addresses that go on in the first column become an option of their own, because of their colon;
# - $NAME where there is no such option ends the program.
# Prints what it reads; fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install oslo.config==10.7.0
"$work/venv/bin/python" - "$work/a.conf" <<'PYTHON'
import sys

from oslo_config import cfg


def read(text):
    with open(sys.argv[1], "w") as file:
        file.write("[a]\n" + text)
    conf = cfg.ConfigOpts()
    conf.register_opts([cfg.ListOpt("list", default=[])], group="a")
    try:
        conf(["--config-file", sys.argv[1]], project="a")
        return conf.a.list
    except Exception as error:
        return type(error).__name__


wrong = 0
for text, expected in [
    ('list = "x", "y"\n', ['x"', '"y']),
    ("list = x,\n# more\n  y\n", "ConfigFileParseError"),
    ("list = x,\n  # more\n  y\n", ["x", "# more\ny"]),
    ("list = 0000:81:00.0,\n0000:82:00.0\n", ["0000:81:00.0"]),
    ("list = x # comment\n", ["x # comment"]),
    ("list = $name\n", "NoSuchOptError"),
]:
    found = read(text)
    wrong += found != expected
    print("%-45r %r" % (text, found), "" if found == expected else "CHANGED")
sys.exit(wrong > 0)
PYTHON
