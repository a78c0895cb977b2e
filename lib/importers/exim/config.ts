/** Reads Exim's configuration (Exim specification, chapter 6): macros, includes, conditions, sections. */
import type { ImportDraft } from '../draft.ts';
import type { SourcePlace } from '../finding.ts';
import { SourceFault, type SourceFiles } from '../source-files.ts';

/** An option of the main section, of a router or of a transport. */
export interface EximOption {
  readonly name: string;
  /** Empty for a boolean that is on; `false` for one that is off. */
  readonly value: string;
  readonly at: SourcePlace;
}

/** A router, a transport, an authenticator. */
export interface EximDriver {
  readonly name: string;
  readonly options: readonly EximOption[];
  readonly at: SourcePlace;
}

export interface EximConfig {
  readonly main: readonly EximOption[];
  /** Lists by kind and name: `domainlist local_domains`. */
  readonly lists: ReadonlyMap<string, string>;
  readonly routers: readonly EximDriver[];
  readonly transports: readonly EximDriver[];
  /** Lines of the retry section. */
  readonly retry: readonly EximOption[];
}

const DEEPEST = 20;
const LONGEST = 64 * 1024;
const MOST_MACROS = 5_000;

interface EximLine {
  text: string;
  at: { file: string; line: number };
}

/** Reads a file and those that it includes. */
export function readEximConfig(draft: ImportDraft, files: SourceFiles, path: string): EximConfig {
  const lines = new LineReader(draft, files).read(path);
  const main: EximOption[] = [];
  const lists = new Map<string, string>();
  const sections = new Map<string, EximDriver[]>();
  const retry: EximOption[] = [];
  let section = 'main';
  let driver: { name: string; options: EximOption[]; at: SourcePlace } | undefined;
  for (const { text, at } of lines) {
    const begin = /^begin\s+(\w+)\s*$/i.exec(text);
    if (begin) {
      section = begin[1]!.toLowerCase();
      driver = undefined;
      continue;
    }
    const place = { ...at, directive: text.slice(0, 80) };
    if (section === 'main') {
      const list = /^(domainlist|hostlist|addresslist|localpartlist)\s+(\S+)\s*=\s*(.*)$/s.exec(text);
      if (list) lists.set(`${list[1]} ${list[2]}`, list[3]!);
      main.push(list ? { name: list[1]!, value: `${list[2]} = ${list[3]}`, at: place } : optionOf(text, at));
    } else if (section === 'retry') retry.push({ name: 'retry', value: text, at: place });
    else if (section === 'routers' || section === 'transports') {
      const name = /^([\w-]+)\s*:\s*$/.exec(text);
      if (name) {
        driver = { name: name[1]!, options: [], at: place };
        sections.set(section, [...(sections.get(section) ?? []), driver]);
      } else if (driver) driver.options.push(optionOf(text, at));
      else draft.note(place, 'fault', `stands before the first name of the ${section}.`);
    }
  }
  if (section === 'main')
    draft.note(
      { file: path, line: lines.length, directive: 'begin' },
      'fault',
      'there are no sections (begin routers, begin transports); the file may be cut off.',
    );
  return {
    main,
    lists,
    routers: sections.get('routers') ?? [],
    transports: sections.get('transports') ?? [],
    retry,
  };
}

/** `name = value`, `name`, `no_name`, `hide name = value`. */
function optionOf(text: string, at: { file: string; line: number }): EximOption {
  const [, name = '', value] = /^(?:hide\s+)?([\w]+)(?:\s*=\s*(.*))?$/s.exec(text) ?? [];
  const off = value === undefined ? /^(?:no_|not_)(\w+)$/.exec(name) : null;
  const known = name || text.slice(0, 80);
  return {
    name: off ? off[1]! : known,
    value: off ? 'false' : unquoted(value ?? ''),
    at: { ...at, directive: known, value: (value ?? '').slice(0, 200) },
  };
}

function unquoted(value: string): string {
  const quoted = /^"(.*)"$/s.exec(value.trim());
  return quoted ? quoted[1]!.replace(/\\(["\\$])/g, '$1') : value.trim();
}

/** The lines of all files, macros replaced, conditions decided. */
class LineReader {
  readonly #draft: ImportDraft;
  readonly #files: SourceFiles;
  readonly #macros = new Map<string, string>();
  readonly #reading: string[] = [];
  readonly #lines: EximLine[] = [];
  /** For each open condition whether its lines count, and whether one of its branches did. */
  readonly #conditions: { on: boolean; done: boolean; at: EximLine['at'] }[] = [];
  #inMain = true;

  constructor(draft: ImportDraft, files: SourceFiles) {
    this.#draft = draft;
    this.#files = files;
  }

  read(path: string): EximLine[] {
    this.#file(path, undefined, { file: path, line: 0, directive: 'file' }, true);
    return this.#lines;
  }

  #file(path: string, from: string | undefined, by: SourcePlace, needed: boolean) {
    if (this.#reading.length >= DEEPEST)
      return this.#draft.note(by, 'fault', `includes are ${DEEPEST} deep; the rest was not read.`);
    let source: ReturnType<SourceFiles['read']>;
    try {
      source = this.#files.read(path, from);
    } catch (error) {
      if (!(error instanceof SourceFault)) throw error;
      if (!needed && /does not exist/.test(error.message))
        return this.#draft.note(by, 'already', 'there is no such file.');
      return this.#draft.note(by, 'fault', `${path} ${error.message}. What it sets was not taken.`);
    }
    if (this.#reading.includes(source.path))
      return this.#draft.note(by, 'fault', `${source.path} includes itself; it is read once.`);
    this.#reading.push(source.path);
    const depth = this.#conditions.length;
    let open: EximLine | undefined;
    for (const [i, raw] of source.lines.entries()) {
      const text = raw.trim();
      if (text === '' && !open) continue;
      if (text.startsWith('#')) continue;
      const line = open ?? { text: '', at: { file: source.path, line: i + 1 } };
      const continues = text.endsWith('\\');
      line.text += continues ? text.slice(0, -1) : text;
      if (line.text.length > LONGEST) {
        this.#draft.note(
          { ...line.at, directive: line.text.slice(0, 80) },
          'fault',
          `is longer than ${LONGEST} characters.`,
        );
        open = undefined;
        continue;
      }
      open = continues ? line : undefined;
      if (!continues) this.#line(line);
    }
    if (open) this.#line(open);
    for (const { at } of this.#conditions.splice(depth))
      this.#draft.note(
        { ...at, directive: '.ifdef' },
        'fault',
        'is not ended by .endif; the file may be cut off.',
      );
    this.#reading.pop();
    return undefined;
  }

  #line({ text, at }: EximLine): void {
    const [, word = '', rest = ''] = /^\.(\w+)\s*(.*)$/s.exec(text) ?? [];
    if (word !== '' && this.#condition(word, rest.trim(), at)) return;
    if (this.#conditions.some(({ on }) => !on)) return;
    if (word === 'include' || word === 'include_if_exists') {
      const path = this.#replaced(rest.trim());
      const by = { ...at, directive: `.${word}`, value: path };
      this.#draft.note(by, 'taken', 'read, unless a line below says otherwise.');
      this.#file(path, at.file, by, word === 'include');
      return;
    }
    const macro = this.#inMain ? /^([A-Z]\w*)\s*==?\s*(.*)$/s.exec(text) : null;
    if (macro) {
      if (this.#macros.size < MOST_MACROS) this.#macros.set(macro[1]!, this.#replaced(macro[2]!));
      return;
    }
    const replaced = this.#replaced(text);
    if (/^begin\s/i.test(replaced)) this.#inMain = false;
    if (replaced !== '') this.#lines.push({ text: replaced, at });
  }

  /** @returns whether the line was a condition. */
  #condition(word: string, rest: string, at: EximLine['at']): boolean {
    const last = this.#conditions.at(-1);
    const isDefined = this.#macros.has(rest) || rest.startsWith('_');
    switch (word) {
      case 'ifdef':
      case 'ifndef': {
        const on = isDefined === (word === 'ifdef');
        this.#conditions.push({ on, done: on, at });
        return true;
      }
      case 'elifdef':
      case 'elifndef':
        if (last) {
          last.on = !last.done && isDefined === (word === 'elifdef');
          last.done ||= last.on;
        }
        return true;
      case 'else':
        if (last) {
          last.on = !last.done;
          last.done = true;
        }
        return true;
      case 'endif':
        if (last) this.#conditions.pop();
        else this.#draft.note({ ...at, directive: '.endif' }, 'fault', 'ends no condition.');
        return true;
      default:
        return false;
    }
  }

  #replaced(text: string): string {
    const replaced = text.replace(/[A-Z]\w*/g, (name) => this.#macros.get(name) ?? name);
    return replaced.length > LONGEST ? text : replaced;
  }
}

/** Items of a list: separated by colons, `::` for one of them, or by what `<;` names. */
export function listOf(text: string): string[] {
  const other = /^\s*<(\S)\s*/.exec(text);
  if (other)
    return text
      .slice(other[0].length)
      .split(other[1]!)
      .map((one) => one.trim())
      .filter(Boolean);
  return text
    .replaceAll('::', '\u0000')
    .split(':')
    .map((one) => one.replaceAll('\u0000', ':').trim())
    .filter(Boolean);
}
