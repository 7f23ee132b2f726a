"""Compares the option table with all that is written about it; see check-options.sh.

Each check_…() function is given the rows and yields sentences about what is wrong.
"""

import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

TOP, BUILD = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
NSPAWN = os.environ.get("NSPAWN", str(BUILD / "nspawn"))
STATES = {"same", "better", "different", "not built", "ours", "absent"}

Row = collections.namedtuple("Row", "letter name takes argument section key flags values help")


def option_table():
    text = subprocess.run([BUILD / "src/nspawn/print-options"], stdout=subprocess.PIPE, check=True,
                          encoding="utf-8").stdout
    rows = []
    for line in text.splitlines():
        fields = ["" if field == "-" else field for field in line.split("\t")]
        row = Row(*fields)
        rows.append(row._replace(flags=frozenset(filter(None, row.flags.split(",")))))
    return rows


def planned(row):
    return "planned" in row.flags


def label(row):
    """--bind= or -U: how documents write the option."""
    end = {"nothing": "", "value": "=", "optional": "[=]" if row.argument else ""}[row.takes]
    return f"--{row.name}{end}" if row.name else f"-{row.letter}"


def has_words(row):
    return row.values and not row.values.startswith("<") and not re.search(r"[=:]( |$)", row.values)


def launcher(*args):
    return subprocess.run([NSPAWN, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, encoding="utf-8", check=False)


# The launcher itself ---------------------------------------------------------------------------

def check_help(rows):
    """--help has the visible rows and says which are not built."""
    found = {}
    for line in launcher("--help").stdout.splitlines():
        if match := re.match(r"  (?:-(\w)|  )(?: --([a-z0-9-]+)|(?<=\w))[\s\[=]", line):
            last = match[2] or match[1]
            found[last] = line
        elif found and line.startswith(" " * 42):
            found[last] += line
    for row in rows:
        line = found.pop(row.name or row.letter, None)
        if "hidden" in row.flags:
            if line is not None:
                yield f"--help shows {label(row)}, which is another spelling"
        elif line is None:
            yield f"--help does not show {label(row)}"
        elif planned(row) != ("(not built yet)" in line):
            yield f"--help is wrong about whether {label(row)} is built"
        elif row.letter and f"-{row.letter}" not in line:
            yield f"--help does not show the letter of {label(row)}"
    for name in found:
        yield f"--help shows '{name}', which the table does not have"


def check_words(rows):
    """The words that are completed are those that OPTION=help prints, and each is accepted."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("usr/lib", "etc"):
            os.makedirs(f"{folder}/{name}")
        pathlib.Path(folder, "usr/lib/os-release").write_text("ID=test\n")
        for row in rows:
            if planned(row) or not row.name or not row.values:
                continue
            printed = launcher(f"--{row.name}=help")
            if row.values in ("<help>", "<help=>") or (printed.returncode == 0 and has_words(row)):
                if printed.returncode != 0 or not printed.stdout:
                    yield f"--{row.name}=help prints no words"
            if has_words(row):
                if printed.returncode == 0 and set(printed.stdout.split()) != set(row.values.split()):
                    yield (f"the words of --{row.name}= in print-options.c are not those that "
                           f"--{row.name}=help prints: {sorted(printed.stdout.split())}")
                for word in row.values.split():
                    result = launcher("--dry-run", "-q", "-D", folder, f"--{row.name}={word}", "true")
                    if re.search(rf"--{row.name}={word}[ ':]", result.stderr) and (
                            "not built" not in result.stderr and "write" in result.stderr):
                        yield f"--{row.name}={word} is completed, but refused: {result.stderr.strip()}"


# The manual ------------------------------------------------------------------------------------

def manual(page):
    """(section, tag) for each paragraph, without the marks of roff."""
    section, tag, inner = "", False, ""
    for line in (TOP / "man" / page).read_text(encoding="utf-8").splitlines():
        text = re.sub(r"\\f[A-Z]", "", line.replace("\\-", "-"))
        if line.startswith(".SH"):
            section, inner = text[4:], ""
        elif re.match(r"\[\w+\]:$", text):
            inner = text[1:-2]
        elif tag:
            yield section, inner, text
        tag = bool(re.match(r"\.(TP|TQ)", line))


def check_manual_of_options(rows):
    built, later = set(), set()
    for section, _, text in manual("nspawn.1"):
        names = re.findall(r"(?<![\w-])--?[A-Za-z][a-z0-9-]*(?==?(?:\s|$|\"|\[))", text)
        (later if "NOT BUILT" in section else built).update(names)
    for row in rows:
        name = f"--{row.name}" if row.name else f"-{row.letter}"
        if planned(row) and name not in later:
            yield f"nspawn.1: {name} is not built, and not in the list of those"
        elif planned(row) and name in built:
            yield f"nspawn.1: {name} is not built, and has a paragraph"
        elif not planned(row) and name not in built:
            yield f"nspawn.1: {name} is built, and has no paragraph"
        elif not planned(row) and name in later:
            yield f"nspawn.1: {name} is built, and in the list of those that are not"


def check_manual_of_keys(rows):
    built, later = set(), set()
    for section, inner, text in manual("nspawn.5"):
        if match := re.match(r"\.\w+ ([A-Z]\w*)=", text):
            place = re.search(r"SECTION \[(\w+)\]", section)
            key = (place[1].capitalize() if place else inner, re.sub("^Limit[A-Z]+$", "Limit*", match[1]))
            if key[0] == "Resources":
                key = ("Resources", "*")  # check-manual.sh compares them with the properties
            (later if "NOT BUILT" in section else built).add(key)
    for row in rows:
        key = (row.section, row.key)
        if row.key and planned(row) and (key not in later or key in built):
            yield f"nspawn.5: [{row.section}] {row.key}= is not built, but not in the list of those"
        elif row.key and not planned(row) and (key not in built or key in later):
            yield f"nspawn.5: [{row.section}] {row.key}= is built, but has no paragraph"


# Completion ------------------------------------------------------------------------------------

# Answers each line, words separated by tabs, with the candidates on one line.
ASK_BASH = r"""
compopt() { :; }
. "$1"
while IFS= read -r line; do
    IFS=$'\x1f' read -ra COMP_WORDS <<<"$line"$'\x1f'
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _nspawn
    (IFS=$'\x1f'; printf '%s\n' "${COMPREPLY[*]}")
done
"""


def ask_bash(questions):
    """The candidates for the last word of each question; words are cut as bash does it."""
    lines = ["\x1f".join([NSPAWN, *re.findall(r"[=:]+|[^\x1f=:]+", question)])
             + ("\x1f" if question.endswith("\x1f") else "") for question in questions]
    file = BUILD / "completion/bash/nspawn"
    result = subprocess.run(["bash", "--norc", "--noprofile", "-c", ASK_BASH, "bash", file],
                            input="\n".join(lines) + "\n", stdout=subprocess.PIPE, check=True,
                            encoding="utf-8", stderr=subprocess.PIPE)
    if result.stderr:
        raise SystemExit(f"completion for bash complains: {result.stderr}")
    return [set(filter(None, line.split("\x1f"))) for line in result.stdout.splitlines()]


def check_bash(rows):
    if not shutil.which("bash"):
        return
    visible = {name for row in rows if not planned(row) and "hidden" not in row.flags
               for name in ([f"--{row.name}="] if row.takes == "value" else
                            [f"--{row.name}", f"--{row.name}="] if row.takes == "optional" and row.argument
                            else [f"--{row.name}" if row.name else f"-{row.letter}"])}
    questions = {"-": visible, "--reg": {"--register="}, "--console=re": {"read-only"},
                 "-b\x1f--settings=": {"yes", "no", "override", "trusted"},
                 "-bP\x1f--settings\x1ftr": {"trusted"}, "--rlimit=NOF": {"NOFILE="},
                 "--capability=CAP_CHO": {"CAP_CHOWN"}, "--property=CPUW": {"CPUWeight="},
                 "-q\x1f-D\x1f/us": {"/usr"}, "--bind=/us": {"/usr"}, "--bind=/etc:/us": {"/usr"},
                 "--bind-ro\x1f/us": {"/usr"}, "-u\x1froo": {"root"}, "sh\x1f--reg": set(),
                 "-D\x1f/srv\x1fsh\x1f-": set(), "-bM\x1fx\x1f--reg": {"--register="},
                 "--no-such=": set()}
    for row in rows:
        if has_words(row) and not planned(row):
            questions[f"--{row.name}="] = set(row.values.split())
    for (question, expected), found in zip(questions.items(), ask_bash(list(questions))):
        if found != expected:
            yield (f"completion of '{question}' in bash: missing {sorted(expected - found)}, "
                   f"too much {sorted(found - expected)}")


def check_zsh(rows):
    file = BUILD / "completion/zsh/_nspawn"
    text = file.read_text(encoding="utf-8")
    for row in rows:
        name = f"--{row.name}" if row.name else f"-{row.letter}"
        offered = re.search(rf"[\s{{,*]{name}[=+'\[,-]*['}}]", text) is not None
        if offered == (planned(row) or "hidden" in row.flags):
            yield f"completion for zsh is wrong about whether there is {name}"
    if shutil.which("zsh"):
        result = subprocess.run(["zsh", "-n", file], stderr=subprocess.PIPE, check=False, text=True)
        if result.returncode != 0 or result.stderr:
            yield f"zsh cannot read its completion: {result.stderr}"


# docs/COMPATIBILITY.md -------------------------------------------------------------------------

def document_tables():
    """{section: [(names, state)]}"""
    tables, section = collections.defaultdict(list), ""
    for line in (TOP / "docs/COMPATIBILITY.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line[3:]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 3:
            tables[section].append((re.findall(r"`([^`]+)`", cells[0]), cells[1]))
    return tables


def compare_states(what, documented, known):
    """Both are {name: state or "planned" or "built"}; each name once."""
    for name, state in documented.items():
        if state not in STATES:
            yield f"COMPATIBILITY.md: '{state}' of '{name}' is none of {sorted(STATES)}"
        elif name not in known and state != "absent":
            yield f"COMPATIBILITY.md: there is no {what} '{name}'"
        elif name in known and (state == "not built") != (known[name] == "planned"):
            yield f"COMPATIBILITY.md: '{name}' is {known[name]}, but the row says '{state}'"
    for name in known.keys() - documented.keys():
        yield f"COMPATIBILITY.md: no row for the {what} '{name}'"


def check_compatibility(rows):
    tables = document_tables()
    names = {}
    for row in rows:
        names[label(row)] = "planned" if planned(row) else "built"
        if row.letter and row.name:
            names[f"-{row.letter}"] = names[label(row)]
    keys = {f"[{row.section}] {row.key}=": "planned" if planned(row) else "built"
            for row in rows if row.key}
    keys["[Exec] Parameters="] = "built"
    for title, what, known in (("Options", "option", names), ("Keys of settings files", "key", keys)):
        documented = {name: row_state for row_names, row_state in tables[title] for name in row_names}
        if len(documented) != sum(len(row_names) for row_names, _ in tables[title]):
            yield f"COMPATIBILITY.md: a row in '{title}' is there twice"
        yield from compare_states(what, documented, known)


def check_features(rows):
    """Rows of features.md that are built, or planned, name options that are. "…" goes on with a row."""
    later = {f"--{row.name}" if row.name else f"-{row.letter}" for row in rows if planned(row)}
    known = {f"--{row.name}" if row.name else f"-{row.letter}" for row in rows}
    for line in (TOP / "docs/features.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) < 3 or cells[0].startswith("…"):
            continue
        for option in re.findall(r"`(--?[A-Za-z0-9][a-z0-9-]*)\b[^`…]*`", cells[2]):
            if option not in known:
                yield f"features.md: there is no option '{option}'"
            elif cells[1].startswith(("built", "planned")) and (option in later) == cells[1].startswith("built"):
                yield f"features.md: '{cells[0]}' is said to be {cells[1]}, and {option} is not"


def check_environment(_rows):
    """What the sources read has a row, and what has a row that says so is read."""
    read = set()
    for path in (TOP / "src").glob("*/*.c"):
        if not path.name.startswith("test-"):
            read |= set(re.findall(r'"((?:SYSTEMD|LISTEN|NOTIFY|WATCHDOG|CREDENTIALS|STEAD)_[A-Z_]+)"',
                                   path.read_text(encoding="utf-8")))
    rows = {name: state for names, state in document_tables()["Environment variables"] for name in names}
    for name in sorted(read - rows.keys()):
        yield f"COMPATIBILITY.md: no row for the variable '{name}'"
    for name, state in rows.items():
        if state not in STATES:
            yield f"COMPATIBILITY.md: '{state}' of '{name}' is none of {sorted(STATES)}"
        elif name in read and state in ("not built", "absent"):
            yield f"COMPATIBILITY.md: '{name}' is read, but the row says '{state}'"
        elif name not in read and state in ("better", "ours"):
            yield f"COMPATIBILITY.md: '{name}' is not read, but the row says '{state}'"


def main():
    rows = option_table()
    checks = [value for name, value in globals().items() if name.startswith("check_")]
    problems = [problem for check in checks for problem in check(rows)]
    for problem in problems:
        print(problem)
    if not problems:
        print(f"{len(rows)} options, {sum(map(planned, rows))} of them not built, "
              f"{sum(bool(row.key) for row in rows)} keys: {len(checks)} comparisons hold")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
