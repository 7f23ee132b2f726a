"""A walk through the launcher's option table: each option and each key that is built has a test that
shows its effect inside a guest, and one of its bad input where its value can be bad at all.

The tests say by a mark what they are about, see harness.covers().
"""

import collections
import fnmatch
import json
import os
import subprocess
import sys

import pytest

import harness

PRINTER = os.path.join(os.path.dirname(os.path.realpath(harness.LAUNCHER)), "src/nspawn/print-options")

# What takes any value, or a value that only the payload or the kernel may find bad.
ANY_VALUE = {"--private-users-chown"}
# What cannot be shown on the hosts of the tests: no kernel of theirs has SELinux.
MISSING = {"effect --selinux-context", "effect --selinux-apifs-context"}

pytestmark = [
    pytest.mark.ours,
    pytest.mark.skipif(not os.access(PRINTER, os.X_OK), reason="the launcher is not in its build folder"),
]


def table():
    """{name of an option or key: which kinds of tests it needs}, and the names that are not built."""
    text = subprocess.run([PRINTER], stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    needed, later = {"[Exec] Parameters": {"effect", "bad"}}, set()
    for line in text.splitlines():
        letter, name, takes, _, section, key, flags, *_ = line.split("\t")
        option = f"--{name}" if name != "-" else f"-{letter}"
        names = {option: {"effect"} | ({"bad"} if takes != "nothing" and option not in ANY_VALUE else set())}
        if key != "-":
            names[f"[{section}] {key}"] = {"effect", "bad"}
        if "planned" in flags.split(","):
            later |= set(names)
        else:
            needed.update(names)
    return needed, later


def covered(work):
    """{kind: how many tests name each option or key}"""
    file = work / "covers"
    subprocess.run([sys.executable, "-B", "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider",
                    os.path.dirname(__file__)], env={**os.environ, "STEAD_COVERS": str(file)},
                   stdout=subprocess.DEVNULL, check=True)
    found = collections.defaultdict(collections.Counter)
    for kind, *names in json.loads(file.read_text()):
        found[kind].update(names)
    file.unlink()
    return found


def test_each_option_and_key_has_its_tests(work, record_count):
    needed, later = table()
    found = covered(work)
    lacking = {f"{kind} {name}" for name, kinds in needed.items() for kind in kinds
               if not any(fnmatch.fnmatchcase(other, name.replace("[", "[[]")) for other in found[kind])}
    record_count(f"{len(needed)} options and keys are built and {len(later)} are not; "
                 f"{sum(map(len, needed.values())) - len(lacking)} of "
                 f"{sum(map(len, needed.values()))} have tests of effect and bad input: "
                 f"{sum(found['effect'].values())} and {sum(found['bad'].values())} tests")
    assert not lacking - MISSING, "no test shows: " + ", ".join(sorted(lacking - MISSING))
    assert not MISSING - lacking, "covered now: " + ", ".join(sorted(MISSING - lacking))


def test_marks_name_what_there_is(work):
    """A mark with a name that is mistyped would count for nothing."""
    needed, later = table()
    known = set(needed) | later
    unknown = {name for names in covered(work).values() for name in names
               if not any(fnmatch.fnmatchcase(name, other.replace("[", "[[]")) for other in known)}
    # Tests of bad input name, on purpose, what does not exist.
    assert not unknown - UNKNOWN_ON_PURPOSE, ", ".join(sorted(unknown - UNKNOWN_ON_PURPOSE))


UNKNOWN_ON_PURPOSE = {"--no-such-option", "--mach", "-k", "[Exec] ReadOnly", "[Unknown] User"}
