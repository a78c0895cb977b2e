/** Writes `octets-module.ts` from `octets.wat`: `npm run octets`. A test holds it equal to the source. */
import { readFileSync, writeFileSync } from 'node:fs';
import wabt from 'wabt';

/** The module as TypeScript. @throws Error on a fault of the source, with its line. */
export async function octetsModule(): Promise<string> {
  const { parseWat } = await wabt();
  const name = 'octets.wat';
  const module = parseWat(name, readFileSync(new URL(name, import.meta.url), 'utf8'), { simd: true });
  module.resolveNames();
  module.validate();
  const code = Buffer.from(module.toBinary({}).buffer).toString('base64');
  module.destroy();
  return `/** \`${name}\` in WebAssembly, base64: written by \`npm run octets\`. */\nexport const MODULE =\n  '${code.match(/.{1,100}/g)!.join("' +\n  '")}';\n`;
}

if (import.meta.main) writeFileSync(new URL('octets-module.ts', import.meta.url), await octetsModule());
