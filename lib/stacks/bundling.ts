/** How code is bundled, with the SDK included, so that what was tested runs: functions in chunks, processes in one file. */
import { copyFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { AssetHashType, DockerImage, type ILocalBundling } from 'aws-cdk-lib';
import { Code } from 'aws-cdk-lib/aws-lambda';
import type { AssetOptions } from 'aws-cdk-lib/aws-s3-assets';
import { type BuildOptions, buildSync } from 'esbuild';

/** Root of the project. */
export const ROOT = join(import.meta.dirname, '..', '..');

const TARGET = 'node24';
/**
 * ES modules first: the SDK's CommonJS builds load Node's modules by a `require` that an ES module lacks, and the
 * bundle would fail at its import.
 */
const MAIN_FIELDS = ['module', 'main'];
/** Packages that are CommonJS alone load Node's modules by `require`, which an ES module lacks. */
const BANNER = "import { createRequire } from 'node:module';const require = createRequire(import.meta.url);";

/** Options for a long-lived process. */
export const SERVICE_BUNDLING = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: TARGET,
  mainFields: MAIN_FIELDS,
  minify: true,
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
  banner: { js: BANNER },
} as const satisfies BuildOptions;

/** What is installed beside a long-lived process. */
const SERVICE_FILES = [
  'install-service.sh',
  'install-node.sh',
  'install-outside.sh',
  'verify-node.sh',
  'postern@.service',
];

/** Puts a long-lived process into a directory: its code in one file, its unit of systemd, its installation. */
export function bundleService(
  entry: string,
  service: string,
  beside: readonly string[],
  directory: string,
): void {
  buildSync({
    ...SERVICE_BUNDLING,
    entryPoints: [join(ROOT, 'egress-node', entry)],
    outfile: join(directory, `${service}.mjs`),
  });
  const files = [...SERVICE_FILES.map((file) => join(ROOT, 'egress-node', 'service', file)), ...beside];
  for (const file of files) copyFileSync(file, join(directory, basename(file)));
}

/**
 * A long-lived process of `egress-node/` as an asset: one file, its unit of systemd, its installation.
 * @param entry file in `egress-node/`. @param service its name when installed. @param beside paths of further files.
 */
export function serviceAsset(
  entry: string,
  service: 'egress' | 'submission',
  beside: readonly string[],
): AssetOptions & { path: string } {
  const local: ILocalBundling = {
    tryBundle(directory) {
      bundleService(entry, service, beside, directory);
      return true;
    },
  };
  return { path: join(ROOT, 'egress-node'), ...bundledBy(local, service) };
}

/** @param name distinguishes bundles of one directory; nothing runs in a container. */
function bundledBy(local: ILocalBundling, name: string): AssetOptions {
  const bundling = { image: DockerImage.fromRegistry('none'), command: [name], local };
  return { assetHashType: AssetHashType.OUTPUT, bundling };
}

/**
 * Code of a function: `index.mjs`, and a chunk for each part that is imported when it is first needed. A start compiles
 * no chunk that it does not import, however large the whole is.
 * @param entry file in `functions/`. @param beside paths of files that go beside the bundle.
 */
export function functionCode(entry: string, beside: readonly string[]): Code {
  const local: ILocalBundling = {
    tryBundle(directory) {
      buildSync({
        ...SERVICE_BUNDLING,
        absWorkingDir: ROOT,
        entryPoints: { index: join('functions', entry) },
        outdir: directory,
        outExtension: { '.js': '.mjs' },
        splitting: true,
      });
      for (const file of beside) copyFileSync(file, join(directory, basename(file)));
      return true;
    },
  };
  return Code.fromAsset(join(ROOT, 'functions'), bundledBy(local, entry));
}
