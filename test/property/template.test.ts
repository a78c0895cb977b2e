import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import Handlebars from 'handlebars';
import { PosternError } from '../../lib/errors.ts';
import { compileTemplate, mergeData, renderTemplate } from '../../lib/template/template.ts';

const SETTINGS = { seed: 20261121, numRuns: 4000 };

const ours = (html: string, data: Record<string, unknown>): string =>
  renderTemplate(compileTemplate({ html }), data).html!;
const theirs = (html: string, data: Record<string, unknown>): string =>
  Handlebars.compile(html, { noEscape: true })(data);

const scalar = fc.oneof(
  fc.string({ maxLength: 5 }),
  fc.integer({ min: -2, max: 2 }),
  fc.boolean(),
  fc.constantFrom(null, '', 'x\ny\n', '<b>&'),
);

/** Objects with the same members at every level, so that a template finds most of its variables. */
const { data } = fc.letrec<{ data: Record<string, unknown> }>((tie) => ({
  data: fc.record(
    {
      a: scalar,
      b: scalar,
      c: fc.option(tie('data'), { depthSize: 'small', maxDepth: 3 }),
      list: fc.array(fc.oneof({ maxDepth: 3, depthSize: 'small' }, scalar, tie('data')), { maxLength: 3 }),
      map: fc.dictionary(fc.constantFrom('k', 'l', '__proto__', 'constructor', '1'), scalar, {
        maxKeys: 3,
        noNullPrototype: true,
      }),
    },
    { noNullPrototype: true },
  ),
}));

const space = fc.constantFrom('', ' ', '\n', '\n  ', '  \n', '\r\n', ' x ', '\n\n', '<p>', '\\', '}', '\t');
const tilde = fc.constantFrom('', '', '', '~');
/** A tag, with white space control at random. */
const tag = (inner: string) => fc.tuple(tilde, tilde).map(([l, r]) => `{{${l}${inner}${r}}}`);

const name = fc.constantFrom('a', 'b', 'c', 'list', 'map');
const path = fc.oneof(
  { weight: 5, arbitrary: name },
  name.map((n) => `this.${n}`),
  name.map((n) => `@root.${n}`),
  name.map((n) => `[${n}]`),
  fc.constantFrom(
    'this',
    '.',
    'c.a',
    '../a',
    '../../b',
    '..',
    '@key',
    '@index',
    '@first',
    '@last',
    '@../index',
  ),
  fc.constantFrom(
    'item',
    'item.a',
    'i',
    'list.length',
    'list.[0]',
    '(lookup map "k")',
    '(lookup .. "a")',
    '"k"',
    '1',
  ),
);
/** Paths that may stand where a variable stands. */
const variable = path.filter((p) => !p.startsWith('('));

/**
 * Handlebars without escaping adds adjacent numbers, `{{one}}{{two}}` to 3. Ours does not; so that the
 * two can be compared, text stands before every variable.
 */
const marked = (variableTag: string): string => `·${variableTag}`;

const { template } = fc.letrec<{ template: string; piece: string }>((tie) => {
  const block = (open: string, close: string) =>
    fc
      .tuple(tag(open), tie('template'), fc.option(fc.tuple(tag('else'), tie('template'))), tag(close))
      .map(([start, main, other, end]) => start + main + (other?.join('') ?? '') + end);
  return {
    template: fc
      .array(fc.tuple(space, tie('piece'), space), { maxLength: 3 })
      .map((pieces) => pieces.flat().join('')),
    piece: fc.oneof(
      { depthSize: 'small', maxDepth: 4 },
      variable.chain(tag).map(marked),
      variable.map((p) => marked(`{{{${p}}}}`)),
      fc.constantFrom('{{! comment }}', '{{!-- {{a}} --}}', '\\{{a}}', '\\\\{{a}}'),
      fc.constantFrom(
        '{{lookup this "b"}}',
        '{{lookup list @index}}',
        '{{> p}}',
        '{{> q c}}',
        '{{> p a="z"}}',
      ),
      path.chain((p) => block(`#if ${p}`, '/if')),
      path.chain((p) => block(`#unless ${p}`, '/unless')),
      path.chain((p) => block(`#if ${p} includeZero=b`, '/if')),
      path.chain((p) => block(`#with ${p}`, '/with')),
      path.chain((p) => block(`#each ${p}`, '/each')),
      path.chain((p) => block(`#each ${p} as |item i|`, '/each')),
      path.chain((p) => block(`#with ${p} as |item|`, '/with')),
      name.chain((n) => block(`#${n}`, `/${n}`)),
      name.chain((n) => block(`^${n}`, `/${n}`)),
      fc
        .tuple(path, tie('template'), path, tie('template'), tie('template'))
        .map(([p, x, q, y, z]) => `{{#if ${p}}}${x}{{else if ${q}}}\n${y}{{else}}${z}{{/if}}`),
      fc
        .tuple(fc.constantFrom('p', 'q'), tie('template'), space, space)
        .map(([n, body, s, t]) => `{{#*inline "${n}"}}${s}${body}{{/inline}}${s}{{> ${n}}}${t}`),
    ),
  };
});

/** Cases that cannot be compared: a variable that the data lacks, or one that ours refuses on purpose. */
function uncomparable(error: unknown): boolean {
  assert.ok(error instanceof PosternError, String(error));
  return (
    error.code === 'rendering_failed' ||
    error.code === 'template_too_complex' ||
    error.code === 'invalid_template'
  );
}

test('renders as Handlebars does when the data has every variable', () => {
  let compared = 0;
  fc.assert(
    fc.property(template, data, (source, values) => {
      let mine: string;
      try {
        mine = ours(source, values);
      } catch (error) {
        assert.ok(uncomparable(error));
        return;
      }
      compared++;
      assert.equal(mine, theirs(source, values));
    }),
    SETTINGS,
  );
  assert.ok(compared > SETTINGS.numRuns / 4, `only ${compared} templates could be compared`);
});

test('any source and data render or fail with a clear error', () => {
  const scraps = fc.array(
    fc.oneof(
      fc.string({ maxLength: 4 }),
      fc.constantFrom(
        '{{',
        '}}',
        '{{{',
        '}}}',
        '{{#',
        '{{/',
        '{{^',
        '{{else',
        '{{!--',
        '--}}',
        '~',
        '(',
        ')',
        '"',
        "'",
      ),
      fc.constantFrom(
        '[',
        ']',
        '|',
        ' as |',
        '@',
        '../',
        '.',
        '=',
        '\\',
        'if',
        'each',
        ' a',
        'lookup',
        '\0',
        '\n',
        '{{>',
      ),
    ),
    { maxLength: 20 },
  );
  fc.assert(
    fc.property(scraps, data, (pieces, values) => {
      try {
        ours(pieces.join(''), values);
      } catch (error) {
        assert.ok(uncomparable(error));
      }
    }),
    SETTINGS,
  );
});

test('merged data has every member of both, the replacement first', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.dictionary(fc.string(), fc.jsonValue()),
      (a, b) => {
        const merged = mergeData(a, b);
        assert.deepEqual(new Set(Object.keys(merged)), new Set([...Object.keys(a), ...Object.keys(b)]));
        for (const [key, value] of Object.entries(b)) {
          if (typeof value !== 'object' || value === null || Array.isArray(value))
            assert.equal(merged[key], value);
        }
        assert.deepEqual(mergeData(merged, b), merged);
        assert.deepEqual(mergeData({}, b), { ...b });
      },
    ),
    SETTINGS,
  );
});
