// Writes assets/page/src/vendor from the packages of npm, whose small parts the page carries. So the page is made without
// npm. With `--check`, only compares.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

/** The names that the page imports from a package. */
const PACKAGES = { "d3-array": ["nice", "tickStep", "ticks"] };

for (const [name, names] of Object.entries(PACKAGES)) {
  const folder = new URL(`node_modules/${name}/`, import.meta.url);
  const { version } = JSON.parse(readFileSync(new URL("package.json", folder), "utf8"));
  const licence = readFileSync(new URL("LICENSE", folder), "utf8");
  const { outputFiles } = buildSync({
    stdin: {
      contents: `export { ${names.join(", ")} } from "${name}";`,
      resolveDir: fileURLToPath(new URL(".", import.meta.url)),
    },
    bundle: true,
    absWorkingDir: fileURLToPath(new URL(".", import.meta.url)),
    write: false,
    format: "iife",
    globalName: "vendored",
  });
  const comment = `${name} ${version}, bundled by \`npm run vendor\`\n\n${licence.trim()}`
    .replace(/^/gm, "// ")
    .replace(/ +$/gm, "");
  const exports = names.map((name) => `export const ${name} = vendored.${name};\n`).join("");
  const code = `// @ts-nocheck\n${comment}\n${outputFiles[0].text}${exports}`;
  const path = new URL(`../src/vendor/${name}.js`, import.meta.url);
  if (!process.argv.includes("--check")) writeFileSync(path, code);
  else if (readFileSync(path, "utf8") !== code) {
    throw new Error(
      `${path.pathname} differs from ${name} ${version}\nhint: run \`npm --prefix assets/page/tests run vendor\``,
    );
  }
}
