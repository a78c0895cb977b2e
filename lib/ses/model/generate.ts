/**
 * `npm run ses-model [FILE…]`: writes the compact models beside this file.
 *
 * FILE is a service model as Amazon publishes it, of SES v2 or of SES v1 (`botocore/data/sesv2/2019-09-27/service-2.json`,
 * `botocore/data/ses/2010-12-01/service-2.json`). A model without a FILE stays as it is. Then the installed SDK adds
 * what is newer in it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ServiceModel } from './form.ts';
import { complete, modelOfSdk } from './sdk-schema.ts';
import { compact, type PublishedModel } from './service-model.ts';

export const MODELS = [
  { file: 'v2.json', version: '2019-09-27', sdk: '@aws-sdk/client-sesv2' },
  { file: 'v1.json', version: '2010-12-01', sdk: '@aws-sdk/client-ses' },
] as const;

/** The model of an installed SDK. */
export async function installedModel(sdk: string, version: string): Promise<ServiceModel> {
  const types = join(import.meta.dirname, '../../../node_modules', sdk, 'dist-types');
  return modelOfSdk({ exports: (await import(sdk)) as Record<string, unknown>, types, version });
}

/** One shape, one operation a line, so that a change of Amazon's is a change of few lines. */
export function written({ version, ...parts }: ServiceModel): string {
  const part = ([name, records]: [string, object]): string => {
    const lines = Object.entries(records).map(
      ([key, one]) => `    ${JSON.stringify(key)}: ${JSON.stringify(one)}`,
    );
    return `  ${JSON.stringify(name)}: {\n${lines.join(',\n')}\n  }`;
  };
  return `{\n  "version": ${JSON.stringify(version)},\n${Object.entries(parts).map(part).join(',\n')}\n}\n`;
}

async function main(paths: string[]): Promise<void> {
  const given = paths.map((path) => compact(JSON.parse(readFileSync(path, 'utf8')) as PublishedModel));
  for (const { file, version, sdk } of MODELS) {
    const target = join(import.meta.dirname, file);
    const base =
      given.find((model) => model.version === version) ??
      (JSON.parse(readFileSync(target, 'utf8')) as ServiceModel);
    const model = complete(base, await installedModel(sdk, version));
    writeFileSync(target, written(model));
    process.stdout.write(`${file}: ${Object.keys(model.operations).length} operations\n`);
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href)
  await main(process.argv.slice(2));
