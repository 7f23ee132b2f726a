"""Fixtures for the tests that drive the installed programs from outside."""

import itertools
import json
import os
import pathlib
import subprocess

import pytest

import harness
import witness

counter = itertools.count(1)
sums = []


def pytest_configure(config):
    for line in (
            "ours: about what only our launcher does; left out when another one is under test",
            "covers(kind, names): see harness.covers() and test_walk.py",
            "controllers(names): skipped on a host whose cgroup2 does not have them all",
            "limits: about what the host enforces on a machine; they run on every host (tests/vm/run)",
            "slow: takes many seconds; left out by ./check --fast",
            "smoke: a short list for a quick look by hand (-m smoke)"):
        config.addinivalue_line("markers", line)


def pytest_collection_modifyitems(items):
    for item in items:
        if harness.IS_STOCK and item.get_closest_marker("ours"):
            item.add_marker(pytest.mark.skip(reason="only our launcher does this"))


def pytest_collection_finish(session):
    """For test_walk.py: which options and keys the tests are about."""
    path = os.environ.get("STEAD_COVERS")
    if path:
        marks = [mark.args for item in session.items for mark in item.iter_markers("covers")]
        pathlib.Path(path).write_text(json.dumps(marks))


def pytest_terminal_summary(terminalreporter):
    for line in sums:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def record_count():
    """Takes a sentence for the end of the run."""
    return sums.append


def pytest_report_header():
    return f"launcher under test: {harness.LAUNCHER}"


@pytest.fixture(scope="session", autouse=True)
def preconditions():
    if os.geteuid() != 0:
        pytest.skip("machines are started as root; this is not root")
    if not os.access(harness.LAUNCHER, os.X_OK):
        pytest.skip(f"{harness.LAUNCHER} is not there; STEAD_NSPAWN names the launcher")
    if harness.cgroup2_mount() is None:
        pytest.skip("no cgroup2 file system is mounted on this host")


@pytest.fixture(scope="session")
def work(preconditions):
    """A folder for private trees; outside /tmp, which the witness watches."""
    folder = harness.STATE / "work" / harness.TAG
    folder.mkdir(parents=True)
    yield folder
    harness.remove_tree(folder)


@pytest.fixture(autouse=True)
def clean_host(preconditions):
    """After every test the host is as before."""
    before = witness.look()
    yield
    witness.check(before)


@pytest.fixture
def nspawn():
    return harness.LAUNCHER


def source_tree(kind):
    given = os.environ.get(f"STEAD_TREE_{kind.upper()}")
    if given:
        return pathlib.Path(given)
    tree = harness.STATE / "trees" / kind
    env = {"STEAD_PACKAGES": str(harness.STATE / "trees" / "packages"), **os.environ}
    built = subprocess.run([str(harness.TOP / "tests/trees/build"), kind, str(tree)], env=env,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if built.returncode != 0:
        pytest.skip(f"no {kind} tree: {built.stdout.strip().splitlines()[-1]}")
    return tree


@pytest.fixture(scope="session")
def tree_source(preconditions):
    """Gives the ready tree of a kind, to be copied."""
    return source_tree


@pytest.fixture(scope="session")
def private_tree():
    return private_copy


@pytest.fixture(scope="session")
def debian12_source(preconditions):
    return source_tree("debian12")


@pytest.fixture(scope="session")
def busybox_source(preconditions):
    return source_tree("busybox")


@pytest.fixture(scope="session")
def stub_source(preconditions):
    return source_tree("stub")


def private_copy(source, work, prefix):
    """A copy in a folder of its own, so that files left beside it are seen."""
    folder = work / f"{prefix}{next(counter)}"
    folder.mkdir()
    tree = folder / f"{harness.TAG}-{folder.name}"
    harness.copy_tree(source, tree)
    yield tree
    beside = sorted(set(os.listdir(folder)) - {tree.name})
    harness.remove_tree(folder)
    assert not beside, f"left beside the tree: {beside}"


@pytest.fixture
def debian12(debian12_source, work):
    """A Debian tree of the test's own."""
    yield from private_copy(debian12_source, work, "deb")


@pytest.fixture(scope="module")
def shared_debian12(debian12_source, work):
    """A Debian tree for tests that do not change it; they start it with --read-only."""
    yield from private_copy(debian12_source, work, "shared")


@pytest.fixture(scope="module")
def shared_busybox(busybox_source, work):
    """The same, smaller."""
    yield from private_copy(busybox_source, work, "sharedbb")


@pytest.fixture(scope="module")
def guest_tree(debian12_source, work):
    """A Debian tree that the tests of a module boot one after the other, as a real one is."""
    yield from private_copy(debian12_source, work, "guest")


@pytest.fixture
def busybox(busybox_source, work):
    yield from private_copy(busybox_source, work, "bb")


@pytest.fixture
def stub(stub_source, work):
    yield from private_copy(stub_source, work, "stub")


@pytest.fixture
def oldcgroup(tree_source, work):
    yield from private_copy(tree_source("oldcgroup"), work, "oldcg")


@pytest.fixture
def cgroup():
    """A control group of our own, as a unit of a service manager would be."""
    group = harness.Cgroup(f"{harness.TAG}-{next(counter)}")
    yield group
    group.remove()


@pytest.fixture
def new_cgroup():
    """Makes such groups: where the launcher hands controllers down, a group is good for one start."""
    made = []

    def make():
        made.append(harness.Cgroup(f"{harness.TAG}-{next(counter)}"))
        return made[-1]
    yield make
    for group in made:
        group.remove()


@pytest.fixture
def notify(work):
    socket = harness.NotifySocket(work)
    yield socket
    socket.close()
