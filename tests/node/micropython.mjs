// Runs a program on MicroPython: node micropython.mjs PARTS FOLDER PROGRAM. PARTS is where MicroPython
// is installed; the Python files of FOLDER lie at the root of its file system. Its output is ours.
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const [parts, folder, program] = process.argv.slice(2);
const name = "node_modules/@micropython/micropython-webassembly-pyscript/micropython.mjs";
const { loadMicroPython } = await import(join(resolve(parts), name));
const board = await loadMicroPython({ heapsize: 256 * 1024, stdout: (line) => console.log(line) });
for (const file of readdirSync(folder).filter((each) => each.endsWith(".py"))) {
  board.FS.writeFile(`/${file}`, readFileSync(join(folder, file)));
}
board.runPython(readFileSync(program, "utf-8"));
