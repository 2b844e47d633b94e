// Judges AsyncAPI documents by the official parser: node validate.mjs FOLDER DOCUMENT...
// FOLDER is where the parser is installed. Prints one diagnostic a line, and exits with 1 when one
// of them is an error, with 2 when it cannot judge.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const SEVERITIES = ["error", "warning", "information", "hint"];
const [folder, ...documents] = process.argv.slice(2);
if (!folder || documents.length === 0) {
  console.error("node validate.mjs FOLDER DOCUMENT...");
  process.exit(2);
}
const load = createRequire(join(resolve(folder), "package.json"));
const { Parser } = load("@asyncapi/parser");

let errors = 0;
for (const path of documents) {
  const { document, diagnostics } = await new Parser().parse(readFileSync(path, "utf-8"));
  for (const found of diagnostics) {
    const severity = SEVERITIES[found.severity];
    console.log(`${path}: ${severity} ${found.code} at ${found.path.join(".")}: ${found.message}`);
    errors += severity === "error" ? 1 : 0;
  }
  if (document) {
    console.log(`${path}: ${document.channels().all().length} channels`);
  } else {
    errors += 1;
  }
}
process.exit(errors ? 1 : 0);
