#!/usr/bin/env python3
"""Runs checkov over a folder of templates and holds its findings against the accepted ones of .ci/checkov.txt.

Usage: .ci/checkov.py FOLDER. It fails where a finding is not accepted, an accepted one no longer occurs, a template cannot
be read, or nothing was looked at.
"""

import fnmatch
import json
import pathlib
import re
import subprocess
import sys

ACCEPTED = pathlib.Path(__file__).with_name("checkov.txt")
LINE = re.compile(r"^(\w+): (\S+), in (.+)$")


def accepted():
    """Check, pattern of resources, patterns of variants; each with the reason below it."""
    lines = []
    for number, text in enumerate(ACCEPTED.read_text(encoding="utf-8").splitlines(), 1):
        if not text.strip() or text.startswith("#"):
            continue
        if text.startswith("    "):
            lines[-1]["why"] += text.strip()
            continue
        found = LINE.match(text)
        if not found:
            sys.exit(f"{ACCEPTED.name}:{number}: write `CHECK: RESOURCE, in VARIANT, …` and the reason below it")
        check, resource, variants = found.groups()
        lines.append({"check": check, "resource": resource, "in": variants.split(", "), "why": "", "used": 0})
    for line in lines:
        if not line["why"]:
            sys.exit(f"{ACCEPTED.name}: {line['check']} at {line['resource']} has no reason")
    return lines


def findings(folder):
    """What checkov finds, and how many templates it looked at."""
    command = ["checkov", "--directory", folder, "--framework", "cloudformation", "--output", "json", "--compact"]
    ran = subprocess.run([*command, "--skip-download"], capture_output=True, text=True, check=False)
    try:
        report = json.loads(ran.stdout)
        results, summary = report["results"], report["summary"]
    except (ValueError, KeyError, TypeError):
        sys.exit(f"checkov said nothing that can be read:\n{ran.stdout[-2000:]}\n{ran.stderr[-2000:]}")
    if summary["parsing_errors"]:
        sys.exit(f"checkov cannot read {results.get('parsing_errors')}")
    seen = {check["file_path"] for checks in (results["passed_checks"], results["failed_checks"]) for check in checks}
    return results["failed_checks"], len(seen)


def main(folder):
    lines = accepted()
    templates = len(list(pathlib.Path(folder).glob("*.yaml")))
    found, seen = findings(folder)
    if templates == 0 or seen != templates:
        sys.exit(f"checkov looked at {seen} of {templates} templates")
    refused = set()
    for finding in found:
        variant, resource = pathlib.Path(finding["file_path"]).stem, finding["resource"]
        fits = [
            line
            for line in lines
            if line["check"] == finding["check_id"]
            and fnmatch.fnmatchcase(resource, line["resource"])
            and any(fnmatch.fnmatchcase(variant, pattern) for pattern in line["in"])
        ]
        for line in fits:
            line["used"] += 1
        if not fits:
            refused.add(f"{finding['check_id']} at {resource} in {variant}: {finding['check_name']}")
    refused.update(
        f"{line['check']} at {line['resource']}: accepted, but found nowhere; take the line out"
        for line in lines
        if not line["used"]
    )
    print(f"checkov: {templates} templates, {len(found)} findings, {len(lines)} accepted kinds, {len(refused)} refused")
    sys.exit("\n".join(sorted(refused)) if refused else 0)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
