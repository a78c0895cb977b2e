/** The files that pages load: read once, named by what they contain, so that a browser keeps them. */
import { hash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { BASE } from './parts.ts';

const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};
const OWN = ['console.css', 'console.js', 'icon.svg'];
/** Of the package `uplot`. */
const PLOT = ['uPlot.iife.min.js', 'uPlot.min.css'];

export interface Asset {
  bytes: Buffer;
  type: string;
}

export interface Assets {
  /** Where a page finds a file. */
  url(name: string): string;
  /** A file by the last part of its path; undefined: there is none. */
  find(name: string): Asset | undefined;
}

/** Files that a bundle of the console needs beside it. */
export function assetFiles(): string[] {
  return [...OWN, ...PLOT].map((name) => fileOf(name));
}

export function readAssets(): Assets {
  const assets = new Map<string, Asset>();
  const urls = new Map<string, string>();
  for (const name of [...OWN, ...PLOT]) {
    const bytes = readFileSync(fileOf(name));
    const type = TYPES[name.slice(name.lastIndexOf('.') + 1)]!;
    const versioned = `${hash('sha256', bytes, 'hex').slice(0, 12)}-${name}`;
    assets.set(versioned, { bytes, type });
    urls.set(name, `${BASE}/assets/${versioned}`);
  }
  return { url: (name) => urls.get(name)!, find: (name) => assets.get(name) };
}

/** In a bundle all files are beside it. */
function fileOf(name: string): string {
  const beside = join(import.meta.dirname, name);
  if (existsSync(beside)) return beside;
  if (!PLOT.includes(name)) return join(import.meta.dirname, 'assets', name);
  return join(dirname(createRequire(import.meta.url).resolve('uplot')), name);
}
