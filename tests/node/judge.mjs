// Judges messages by published schemas, as another program than the project's own tests would:
// node judge.mjs FOLDER < {"schemas": {name: schema}, "cases": [[name, message], ...]}
// FOLDER is where Ajv is installed. Prints a list of true and false, one for each case.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const load = createRequire(join(resolve(process.argv[2]), "package.json"));
const { Ajv2020 } = load("ajv/dist/2020.js");

const { schemas, cases } = JSON.parse(readFileSync(0, "utf-8"));
const ajv = new Ajv2020({ strict: true, keywords: ["x-unit"] });
const judges = {};
for (const [name, schema] of Object.entries(schemas)) {
  judges[name] = ajv.compile(schema);
}
console.log(JSON.stringify(cases.map(([name, message]) => judges[name](message))));
