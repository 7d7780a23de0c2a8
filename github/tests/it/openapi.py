#!/usr/bin/env python3
"""What GitHub publishes of each request that this client makes, cut out of its OpenAPI description.

`openapi.py FOLDER --check` compares it with the excerpt beside this file, `openapi.py FOLDER` writes it. FOLDER is
`generated/` of the npm package @octokit/openapi. The names of the operations are read from src/contract/*.rs; that each
row there is as the excerpt says is the test `contract` beside this file.
"""

import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
TABLE = HERE.parent.parent / "src" / "contract"
EXCERPT = HERE / "openapi.json"
PUBLIC = "api.github.com"
SERVERS = ["api.github.com", "ghes-3.17", "ghes-3.18", "ghes-3.19"]
NAME = re.compile(r'"((?:actions|apps|meta|orgs|repos)/[a-z-]+)"')


def resolve(document, node):
    while "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def kind(document, schema):
    """A type in a word or two: `integer`, `array of string, 1 to 100`."""
    schema = resolve(document, schema)
    word = schema.get("type", "any")
    if word == "array":
        word += " of " + kind(document, schema["items"])
    if "minItems" in schema or "maxItems" in schema:
        word += f", {schema.get('minItems', 0)} to {schema.get('maxItems', 'any number')}"
    return word


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if isinstance(operation, dict) and "operationId" in operation:
                yield operation["operationId"], (method.upper(), path, operation)


def cut(document, name, found):
    method, path, operation = found
    parameters = [resolve(document, parameter) for parameter in operation.get("parameters", [])]

    def inside(place):
        return sorted(parameter["name"] for parameter in parameters if parameter["in"] == place)

    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    body = resolve(document, content.get("schema", {}))
    fields = body.get("properties", {})
    return {
        "operation": name,
        "method": method,
        "path": path,
        "in_path": inside("path"),
        "query": inside("query"),
        "body": {field: kind(document, schema) for field, schema in sorted(fields.items())},
        "body_required": sorted(body.get("required", [])),
        "answers": sorted(operation["responses"]),
    }


def excerpt(folder):
    documents = {server: json.loads((folder / f"{server}.json").read_text()) for server in SERVERS}
    published = {server: dict(operations(document)) for server, document in documents.items()}
    names = {name for source in TABLE.glob("*.rs") for name in NAME.findall(source.read_text())}
    rows = []
    for name in sorted(names & published[PUBLIC].keys()):
        row = cut(documents[PUBLIC], name, published[PUBLIC][name])
        row["servers"] = [server for server in SERVERS if name in published[server]]
        rows.append(row)
    return sorted(names), rows


def main():
    folder = pathlib.Path(sys.argv[1])
    version = json.loads((folder.parent / "package.json").read_text())["version"]
    names, rows = excerpt(folder)
    lines = ",\n".join("    " + json.dumps(row) for row in rows)
    source = f"what GitHub publishes of its REST API in the npm package @octokit/openapi {version} (MIT), {PUBLIC}"
    text = f'{{\n  "source": "{source}, cut down to the operations in use",\n  "operations": [\n{lines}\n  ]\n}}\n'
    unpublished = sorted(set(names) - {row["operation"] for row in rows})
    print(f"{len(rows)} operations of @octokit/openapi {version} ({', '.join(SERVERS)}); not published: {unpublished}")
    for row in rows:
        print(f"  {row['method']:6} {row['path']}  {row['operation']}")
    if "--check" not in sys.argv:
        EXCERPT.write_text(text)
    elif EXCERPT.read_text() != text:
        sys.exit(f"{EXCERPT.name} is not what GitHub publishes: run this without --check and look at the difference")


main()
